enum Empty2 {}
