/// Things that will happen, by time and then in the order in which they were planned: a binary heap.
struct EventQueue<Element> {
    private struct Item {
        var time: Int64
        var number: Int
        var element: Element
        func precedes(_ other: Item) -> Bool { (time, number) < (other.time, other.number) }
    }
    private var items: [Item] = []
    private var count = 0

    mutating func add(_ element: Element, at time: Int64) {
        count += 1
        items.append(Item(time: time, number: count, element: element))
        var index = items.count - 1
        while index > 0, items[index].precedes(items[(index - 1) / 2]) {
            items.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    mutating func next() -> (time: Int64, element: Element)? {
        guard let first = items.first else { return nil }
        items.swapAt(0, items.count - 1)
        items.removeLast()
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < items.count && items[child].precedes(items[least])
            {
                least = child
            }
            if least == index { break }
            items.swapAt(index, least)
            index = least
        }
        return (first.time, first.element)
    }
}
