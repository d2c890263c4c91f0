@testable import ShoalCRDT

/// What some authors of one text did, step by step, and what reached whom.
struct TextScript: CustomStringConvertible {
    enum Step {
        /// Characters at a position, which counts modulo the length and is negative for the end; backwards one at a time,
        /// each before the last.
        case type(Int, at: Int, [Unicode.Scalar], backwards: Bool)
        case delete(Int, at: Int, count: Int)
        /// The next edits of an author go into one change with this one.
        case hold(Int)
        /// Somebody gets a change, whatever came before.
        case deliver(Int, change: Int)
        /// Somebody gets all that another one has.
        case show(Int, to: Int)
        /// An author's program ends and begins again from what it saved.
        case reload(Int)
    }

    var authors: Int
    var steps: [Step]

    var description: String { "\(authors) authors\n" + steps.map { "  \($0)" }.joined(separator: "\n") }

    /// Texts of one cluster and of many, whose parts are typed and deleted one by one.
    static let texts: [String] = [
        "a", "b", "x", "ab", "Milk ", "油皮", "敏感肌，第二次", "👩‍👩‍👧‍👦", "🏳️‍🌈🇨🇳", "e\u{301}", "\u{301}", "\r\n", "\r", "\n",
        "क्षि", "\"\\\t/", "\u{1}\u{1F}\u{7F}", "\u{FFFF}\u{10FFFF}", String(repeating: "长", count: 70),
        String(repeating: "long ", count: 30),
    ]

    static func random(_ random: inout SplitMix64) -> TextScript {
        let authors = 3 + random.below(3)
        var steps: [Step] = []
        var changes = 0
        // Positions near each other make concurrent edits meet.
        let spread = random.pick([1, 3, 40])
        let texts = random.oneIn(4) ? Self.texts : Array(Self.texts.prefix(12))
        for _ in 0..<6 + random.below(random.oneIn(16) ? 60 : 14) {
            let author = random.below(authors)
            switch random.below(16) {
            case 0...5:
                let text = Array(random.pick(texts).unicodeScalars)
                let position = random.oneIn(4) ? -1 : random.below(spread)
                steps.append(.type(author, at: position, text, backwards: text.count < 12 && random.oneIn(3)))
                changes += 1
            case 6...8:
                let count = random.pick([1, 1, 2, 3, 9, 40])
                steps.append(.delete(author, at: random.below(spread), count: count))
                changes += 1
            case 9: steps.append(.hold(author))
            case 10...12: steps.append(.deliver(author, change: random.below(changes + 1)))
            case 13, 14: steps.append(.show(random.below(authors), to: author))
            default: steps.append(.reload(author))
            }
        }
        return TextScript(authors: authors, steps: steps)
    }

    /// Scripts that are this one less something, the smallest first.
    var smaller: [TextScript] {
        var result: [TextScript] = []
        var size = steps.count / 2
        while size > 0 {
            var start = 0
            while start < steps.count {
                var copy = self
                copy.steps.removeSubrange(start..<min(steps.count, start + size))
                result.append(copy)
                start += size
            }
            size /= 2
        }
        for (index, step) in steps.enumerated() {
            guard case .type(let author, let position, let text, let backwards) = step, text.count > 1 else { continue }
            var copy = self
            copy.steps[index] = .type(author, at: position, Array(text.prefix(text.count / 2)), backwards: backwards)
            result.append(copy)
        }
        return result
    }
}

/// The authors of a script while it is played, each beside the model of the paper if that is wanted.
struct TextPlay {
    struct Author {
        var sequence = TextSequence()
        var model: TextModel?
        var name: TextName
        var offset: UInt32 = 0
        /// Which changes have come.
        var known: Set<Int> = []
        /// The change that is being made.
        var open = TextDelta()
        var isHolding = false
    }

    var authors: [Author]
    var changes: [TextDelta] = []

    /// - Returns: nil beside a fault of the kernel, which is the second.
    static func of(
        _ script: TextScript, withModel: Bool = false, _ random: inout SplitMix64
    ) -> (play: TextPlay, fault: String?) {
        var names: Set<UInt64> = []
        while names.count < script.authors { names.insert(random.next() >> (64 - (random.oneIn(2) ? 42 : 4))) }
        var play = TextPlay(
            authors: names.shuffled(using: &random).map {
                Author(model: withModel ? TextModel() : nil, name: TextName(rawValue: $0))
            })
        for (index, step) in script.steps.enumerated() {
            if let fault = play.take(step) { return (play, "step \(index), \(step): \(fault)") }
        }
        for author in play.authors.indices { play.finish(author) }
        return (play, nil)
    }

    private mutating func take(_ step: TextScript.Step) -> String? {
        switch step {
        case .type(let author, let position, let text, let backwards):
            let count = authors[author].sequence.count
            let start = position < 0 ? count : position % (count + 1)
            for part in backwards ? text.reversed().map({ [$0] }) : [text] {
                if let fault = authors[author].type(part, at: start) { return fault }
            }
            if !authors[author].isHolding { finish(author) }
        case .delete(let author, let position, let count):
            let length = authors[author].sequence.count
            if length == 0 { return nil }
            let start = position % length
            if let fault = authors[author].delete(at: start, count: min(count, length - start)) { return fault }
            if !authors[author].isHolding { finish(author) }
        case .hold(let author):
            if authors[author].isHolding { finish(author) }
            authors[author].isHolding.toggle()
        case .deliver(let author, let change):
            if changes.indices.contains(change) { deliver(change, to: author) }
        case .show(let other, let author):
            finish(other)
            for change in authors[other].known.sorted() { deliver(change, to: author) }
        case .reload(let author):
            finish(author)
            return authors[author].reload()
        }
        return nil
    }

    /// Ends the change that an author is making.
    private mutating func finish(_ author: Int) {
        guard !authors[author].open.isEmpty else { return }
        authors[author].known.insert(changes.count)
        changes.append(authors[author].open)
        authors[author].open = TextDelta()
    }

    mutating func deliver(_ change: Int, to author: Int) {
        authors[author].known.insert(change)
        authors[author].sequence.merge(changes[change])
        authors[author].model?.merge(changes[change])
    }

    /// Brings everybody what they lack, in an order of its own for each, some of it again.
    mutating func deliverAll(_ random: inout SplitMix64) {
        for author in authors.indices {
            var rest = changes.indices.filter { !authors[author].known.contains($0) || random.oneIn(4) }
            rest.shuffle(using: &random)
            for change in rest { deliver(change, to: author) }
        }
    }
}

extension TextPlay.Author {
    fileprivate mutating func type(_ text: [Unicode.Scalar], at position: Int) -> String? {
        var delta = TextDelta()
        sequence.insert(text, at: position, as: name, from: offset, into: &delta)
        let said = model?.insert(text, at: position, as: TextModel.ID(name: name.rawValue, offset: offset))
        if let said, said != delta.arrivals { return "typed \(delta.arrivals)\n  but the model \(said)" }
        // Once more for the change that may hold several edits.
        open.add(delta)
        offset += UInt32(text.count)
        return difference
    }

    fileprivate mutating func delete(at position: Int, count: Int) -> String? {
        var delta = TextDelta()
        sequence.delete(at: position, count: count, into: &delta)
        let said = model?.delete(at: position, count: count)
        if let said, said != delta.deletedCharacters {
            return "deleted \(delta.deletedCharacters)\n  but the model \(said)"
        }
        open.add(delta)
        return difference
    }

    fileprivate mutating func reload() -> String? {
        let text = sequence.text
        var loaded = TextSequence()
        guard let state = sequence.state.reread else { return "the state cannot be read" }
        loaded.merge(state)
        sequence = loaded
        return loaded.text == text ? difference : "was \(text.debugDescription), is \(loaded.text.debugDescription)"
    }

    /// How the text is not the model's, if it is not.
    var difference: String? {
        guard let model else { return nil }
        let (own, its) = (sequence.content, model.content)
        return own == its
            ? nil : "the text is \(sequence.text.debugDescription)\n  the model's \(model.text.debugDescription)"
    }
}

extension TextDelta {
    /// Adds what another change has.
    mutating func add(_ other: TextDelta) {
        for run in other.runs {
            let name = place(of: other.names[run.name])
            var parent = run.parent
            if case .character(let its, let offset) = parent {
                parent = .character(name: place(of: other.names[its]), offset: offset)
            }
            begin(name: name, offset: run.offset, parent: parent, side: run.side, origin: run.origin)
            for piece in other.pieces[run.pieces] {
                if let text = other.text(of: piece) { append(text) } else { appendDeleted(piece.count) }
            }
        }
        for deletion in other.deletions {
            delete(name: place(of: other.names[deletion.name]), offset: deletion.offset, count: deletion.count)
        }
    }

    var json: [UInt8] {
        var bytes: [UInt8] = []
        encode(into: &bytes)
        return bytes
    }

    init(json: [UInt8]) throws { self = try json.withUnsafeBytes { try TextDelta(json: $0) } }
    init(json: String) throws { try self.init(json: Array(json.utf8)) }

    /// The change as whoever gets its JSON has it.
    var reread: TextDelta? { try? TextDelta(json: json) }
}
