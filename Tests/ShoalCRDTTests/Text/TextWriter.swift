@testable import ShoalCRDT

/// Somebody who edits a text, by whole strings.
struct TextWriter {
    var sequence = TextSequence()
    let name: TextName
    private(set) var offset: UInt32 = 0

    /// Of two writers the one with the letter that comes first has the smaller name.
    init(_ letter: Unicode.Scalar) { name = TextName(rawValue: UInt64(letter.value)) }

    var text: String { sequence.text }

    mutating func type(_ text: String, at position: Int) -> TextDelta {
        var delta = TextDelta()
        let scalars = Array(text.unicodeScalars)
        sequence.insert(scalars, at: position, as: name, from: offset, into: &delta)
        offset += UInt32(scalars.count)
        return delta
    }

    mutating func delete(at position: Int, count: Int = 1) -> TextDelta {
        var delta = TextDelta()
        sequence.delete(at: position, count: count, into: &delta)
        return delta
    }

    mutating func merge(_ deltas: TextDelta...) {
        for delta in deltas { sequence.merge(delta) }
    }
}

/// All orders of some things.
func everyOrder<T>(of items: [T]) -> [[T]] {
    guard let last = items.last else { return [[]] }
    return everyOrder(of: Array(items.dropLast())).flatMap { order in
        (0...order.count).map { place in
            var copy = order
            copy.insert(last, at: place)
            return copy
        }
    }
}

/// The text that some changes make, which is the same in every order of delivery, each change coming once or twice.
func textInEveryOrder(_ deltas: [TextDelta]) -> Set<[Unicode.Scalar]> {
    var texts: Set<[Unicode.Scalar]> = []
    var model = TextModel()
    for delta in deltas { model.merge(delta) }
    texts.insert(model.content)
    for order in everyOrder(of: deltas) {
        var (once, twice) = (TextSequence(), TextSequence())
        for delta in order {
            once.merge(delta)
            twice.merge(delta)
            twice.merge(delta)
        }
        twice.merge(order[0])
        texts.insert(once.content)
        texts.insert(twice.content)
        var saved = TextSequence()
        saved.merge(once.state)
        texts.insert(saved.content)
    }
    return texts
}

func scalars(_ text: String) -> [Unicode.Scalar] { Array(text.unicodeScalars) }
