import Testing

@testable import ShoalCRDT

/// A text is what the paper says, whatever happens to the changes on their way.
@Suite struct TextLaws {
    @Test func everyReplicaEndsWithTheModelsTextWhateverWasLostRepeatedAndReordered() {
        law(generate: TextScript.random, smaller: \.smaller) { script, random in
            var (play, fault) = TextPlay.of(script, withModel: true, &random)
            if let fault { return fault }
            play.deliverAll(&random)
            for (index, author) in play.authors.enumerated() {
                if let fault = author.difference ?? author.sequence.misshape(&random) { return "\(index): \(fault)" }
                if author.sequence.waitingRuns > 0 || author.model?.waitingCharacters != 0 { return "\(index) waits" }
                if author.sequence.content != play.authors[0].sequence.content { return "\(index) has another text" }
            }
            return nil
        }
    }

    @Test func theStateMergedIntoNothingIsTheSameText() {
        law(generate: TextScript.random, smaller: \.smaller) { script, random in
            let (play, fault) = TextPlay.of(script, &random)
            if let fault { return fault }
            for author in play.authors {
                var copy = TextSequence()
                copy.merge(author.sequence.state)
                if let fault = copy.difference(from: author.sequence) ?? copy.misshape(&random) { return fault }
                // What waits in the copy is released by the same changes.
                var own = author.sequence
                for change in play.changes.shuffled(using: &random) { copy.merge(change) }
                for change in play.changes.shuffled(using: &random) { own.merge(change) }
                if let fault = copy.difference(from: own) { return "with all changes: \(fault)" }
            }
            return nil
        }
    }

    @Test func mergingWhatIsKnownChangesNothing() {
        law(generate: TextScript.random, smaller: \.smaller) { script, random in
            let (play, fault) = TextPlay.of(script, &random)
            if let fault { return fault }
            let author = random.pick(play.authors)
            let before = author.sequence.state
            var again = author.sequence
            for change in author.known { again.merge(play.changes[change]) }
            again.merge(before)
            return again.state == before ? nil : "was \(before.spelled)\n  is \(again.state.spelled)"
        }
    }

    @Test func statesOfTwoReplicasMergedEitherWayAreOneText() {
        law(generate: TextScript.random, smaller: \.smaller) { script, random in
            let (play, fault) = TextPlay.of(script, &random)
            if let fault { return fault }
            var left = play.authors[0].sequence
            var right = play.authors[1].sequence
            let (first, second) = (left.state, right.state)
            left.merge(second)
            right.merge(first)
            return left.difference(from: right) ?? left.misshape(&random)
        }
    }

    @Test func changesAndStatesSurviveTheirJSON() {
        law(generate: TextScript.random, smaller: \.smaller) { script, random in
            let (play, fault) = TextPlay.of(script, &random)
            if let fault { return fault }
            for delta in play.changes + play.authors.map(\.sequence.state) where delta.reread != delta {
                return "\(delta.spelled) is read as \(delta.reread?.spelled ?? "nothing")"
            }
            return nil
        }
    }

    @Test func thePartsOfAChangeMergedInAnyOrderAreTheChange() {
        law(generate: TextScript.random, smaller: \.smaller) { script, random in
            let (play, fault) = TextPlay.of(script, &random)
            if let fault { return fault }
            let author = random.pick(play.authors)
            let limit = 100 + random.below(600)
            var parts: [TextDelta] = []
            for change in play.changes + [author.sequence.state] {
                let own = change.parts(upTo: limit)
                if own.contains(where: { $0.json.count > max(limit, 160) + 16 }) {
                    return "a part of \(limit) is too long"
                }
                parts += own
            }
            var whole = author.sequence
            for change in play.changes { whole.merge(change) }
            var text = TextSequence()
            for part in parts.shuffled(using: &random) { text.merge(part) }
            return text.difference(from: whole) ?? text.misshape(&random)
        }
    }

    /// Whoever was given only some of the changes finds what is missing by comparing what is known.
    @Test func whatWaitsAppearsInTheOrderOfTheNames() {
        law(generate: TextScript.random, smaller: \.smaller) { script, random in
            let (play, fault) = TextPlay.of(script, &random)
            if let fault { return fault }
            let some = play.changes.filter { _ in !random.oneIn(3) }
            var (first, second) = (TextSequence(), TextSequence())
            for change in some { first.merge(change) }
            for change in some.shuffled(using: &random) { second.merge(change) }
            if let fault = first.difference(from: second) { return fault }
            first.placeWaiting()
            second.placeWaiting()
            if first.waitingRuns > 0 { return "something waits still" }
            var all = Set<TextModel.ID>()
            var deleted = Set<TextModel.ID>()
            for change in some {
                all.formUnion(change.arrivals.map(\.id))
                deleted.formUnion(change.deletedCharacters)
            }
            if first.count != all.subtracting(deleted).count { return "\(first.count) characters of \(all.count)" }
            return first.content == second.content
                ? first.misshape(&random) : "the order depends on the order of arrival"
        }
    }
}

extension TextDelta {
    var spelled: String { String(decoding: json, as: UTF8.self) }
}

extension TextSequence {
    func difference(from other: TextSequence) -> String? {
        if content != other.content { return "\(text.debugDescription)\n  and \(other.text.debugDescription)" }
        return waitingRuns == other.waitingRuns ? nil : "\(waitingRuns) runs wait\n  and \(other.waitingRuns)"
    }

    /// How what is counted is not what is there, if so.
    func misshape(_ random: inout SplitMix64) -> String? {
        let content = content
        if count != content.count { return "counts \(count) characters of \(content.count)" }
        var copy = self
        for _ in 0..<min(8, count) {
            let position = random.below(count)
            let (node, before) = copy.order.node(at: position, copy.nodes)
            let found = copy.nodes[Int(node)]
            if found.isDeleted || copy.scalars[Int(found.text + before)] != content[position] {
                return "finds another character at \(position)"
            }
        }
        var last: UInt32?
        var fault: String?
        order.forEach { node in
            if let last, order.node(after: last, nodes) != node { fault = "\(node) does not follow \(last)" }
            last = node
        }
        if fault != nil { return fault }
        for author in authors {
            for (stretch, next) in zip(author.stretches, author.stretches.dropFirst()) where stretch.end > next.offset {
                return "stretches of a name overlap"
            }
        }
        return nil
    }
}
