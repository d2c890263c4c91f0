/// A table of distinct things and, for each use, the place in it.
struct PlaceTable<Value: Hashable> {
    private(set) var values: [Value] = []
    private var places: [Value: UInt64] = [:]

    mutating func place(of value: Value) -> UInt64 {
        if let place = places[value] { return place }
        let place = UInt64(values.count)
        places[value] = place
        values.append(value)
        return place
    }
}
