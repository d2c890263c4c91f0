import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

import struct ShoalCRDT.Record

/// Changes of texts that the server takes and refuses.
struct TextTests {
    let server: TestServer
    let replica: TestReplica
    let note: RecordID
    private let name = TextName(rawValue: 7)

    init() throws {
        server = try TestServer()
        replica = try server.replica("a")
        note = replica.newID()
        try replica.push(Operations { $0.makeCustomer(note, name: "张三") })
    }

    /// A change that types a text under a name; nil for the parent is the beginning.
    private func typing(
        _ text: String, _ name: TextName, from offset: UInt32 = 0, after parent: TextPlace? = nil
    ) -> TextDelta {
        var delta = TextDelta()
        let own = delta.place(of: name)
        let place = parent.map { TextDelta.Parent.character(name: delta.place(of: $0.name), offset: $0.offset) }
        delta.begin(name: own, offset: offset, parent: place ?? .root, side: .right)
        delta.append(Array(text.unicodeScalars))
        return delta
    }

    private func deleting(_ name: TextName, _ range: Range<UInt32>) -> TextDelta {
        var delta = TextDelta()
        delta.delete(name: delta.place(of: name), offset: range.lowerBound, count: UInt32(range.count))
        return delta
    }

    private func text() throws -> String {
        try replica.pullAll()
        let record = try #require(replica.rows[note])
        return record.openText(in: record.range(of: CellKey(.body))).text
    }

    /// Of a text whose cell only got a mark, everything is named again: a cell of which nothing is named would be emptied.
    @Test func aTextThatGotAMarkIsNotEmptied() throws {
        try replica.push(Operations { $0.change(note, typing("ab", name)) })
        #expect(try text() == "ab")
        let missing = Dot(ReplicaID(rawValue: 1), 1)
        let removal = Operations {
            $0.begin(record: note, time: 1)
            $0.edit(CellKey(.body), text: "x", supersedes: [missing])
        }
        try server.store.withWriter { writer, _ in
            try writer.transaction {
                var record = try #require(try writer.stored(note))
                let sequence = writer.state.sequence + 1
                record.apply(
                    0, of: removal, dot: replica.dot(), time: 1, sequence: sequence, isPassedOver: true,
                    isKnown: { $0 != missing })
                var packed: [UInt8] = []
                record.encode(sequence: sequence, into: &packed)
                try writer.queries.writeRecord(
                    note, record.envelope, sequence: sequence, packed: packed, isNew: false, wasUnmade: false)
                try writer.queries.appendFeed(note, record.envelope, sequence: sequence)
                writer.state.sequence = sequence
                try writer.markCommit()
            }
        }
        #expect(try text() == "ab")
        #expect(try replica.dump() == server.dump())
    }

    @Test func aChangeThatFitsIsTakenAndSentToOthers() throws {
        let first = try replica.push(Operations { $0.change(note, typing("ab", name)) })
        #expect(first.verdicts.isEmpty)
        let answer = try replica.push(
            Operations {
                $0.change(note, typing("c", TextName(rawValue: 3), after: TextPlace(name, 1)))
                $0.change(note, deleting(name, 0..<1))
                // Again, as after an answer that was lost, by somebody else: it says the same.
                $0.change(note, typing("ab", name))
            })
        #expect(answer.verdicts.isEmpty)
        #expect(try text() == "bc")
    }

    @Test(arguments: [
        "[]", "{}", "[7]", #"["AAAAAAA",0]"#, #"["AAAAAAA",5,0,"x"]"#, #"["short",-1,0,"x"]"#, #""text""#,
    ])
    func aChangeThatIsNoneIsMalformed(json: String) throws {
        try replica.push(Operations { $0.change(note, typing("ab", name)) })
        let before = try server.dump()
        let answer = try replica.push(Operations { $0.change(note, json: json) })
        #expect(answer.verdicts.map(\.reason) == [.malformed])
        #expect(try server.dump() == before)
    }

    @Test func aChangeOfWhatIsNotThereIsRefusedAndChangesNothing() throws {
        try replica.push(Operations { $0.change(note, typing("ab", name)) })
        let before = try server.dump()
        let other = TextName(rawValue: 9)
        let refused = [
            typing("x", other, after: TextPlace(name, 2)), typing("x", other, after: TextPlace(other, 5)),
            typing("x", TextName(rawValue: 4), after: TextPlace(other, 0)), deleting(other, 0..<1),
            deleting(name, 1..<3), deleting(name, 4_000_000_000..<4_000_000_001),
            // Other characters than those that are known.
            typing("aX", name), typing("b", name), typing("Y", name, from: 1, after: TextPlace(name, 0)),
        ]
        for (index, change) in refused.enumerated() {
            let answer = try replica.push(Operations { $0.change(note, change) })
            #expect(answer.verdicts.map(\.reason) == [.unknownText], "\(index)")
        }
        #expect(try server.dump() == before)
        // In a text that is not begun yet too.
        let empty = replica.newID()
        let answer = try replica.push(
            Operations {
                $0.makeCustomer(empty, name: "李四")
                $0.change(empty, deleting(name, 0..<1))
            })
        #expect(answer.verdicts.map(\.reason) == [.unknownText])
        #expect(try server.store.check().isSound)
    }

    @Test func whatIsDeletedMayBeSaidAgainInAnyWords() throws {
        try replica.push(Operations { $0.change(note, typing("ab", name)) })
        try replica.push(Operations { $0.change(note, deleting(name, 0..<2)) })
        let answer = try replica.push(
            Operations {
                $0.change(note, typing("ab", name))
                $0.change(note, deleting(name, 0..<1))
                $0.change(note, typing("c", TextName(rawValue: 5), after: TextPlace(name, 1)))
            })
        #expect(answer.verdicts.isEmpty)
        #expect(try text() == "c")
    }

    @Test func laterOperationsOfAGroupSeeTheTextsOfEarlierOnes() throws {
        let other = try server.replica("b")
        let mine = try server.store.prepare(
            replica.push(of: replica.request(Operations { $0.change(note, typing("ab", name)) })))
        let its = try server.store.prepare(
            other.push(
                of: other.request(
                    Operations {
                        $0.change(note, typing("c", TextName(rawValue: 3), after: TextPlace(name, 1)))
                        $0.change(note, typing("d", TextName(rawValue: 4), after: TextPlace(TextName(rawValue: 3), 0)))
                        $0.change(note, typing("x", TextName(rawValue: 6), after: TextPlace(TextName(rawValue: 5), 0)))
                    })))
        let results = try server.store.commit([mine, its])
        #expect(try results[0].get().answer.verdicts.isEmpty)
        #expect(try results[1].get().answer.verdicts == [Verdict(number: 3, reason: .unknownText)])
        try replica.pullAll()
        #expect(try text() == "abcd")
    }

    @Test func theChangeOfARefusedCommandDoesNotCount() throws {
        let answer = try replica.push(
            Operations {
                $0.change(note, typing("ab", name))
                // One command, whose second operation is refused.
                $0.change(note, typing("c", TextName(rawValue: 3), after: TextPlace(name, 1)))
                $0.change(note, deleting(TextName(rawValue: 99), 0..<1), salt: nil, continues: true)
                $0.change(note, typing("d", TextName(rawValue: 4), after: TextPlace(TextName(rawValue: 3), 0)))
                $0.change(note, typing("e", TextName(rawValue: 5), after: TextPlace(name, 1)))
            })
        #expect(answer.verdicts.map(\.reason) == [.command, .unknownText, .unknownText])
        #expect(answer.verdicts.map(\.number) == [3, 4, 5])
        #expect(try text() == "abe")
    }

    /// A long text is read once for all the changes that do not fit it.
    @Test func manyChangesThatDoNotFitALongTextAreRefusedInTime() throws {
        let siblings = String(repeating: #",-1,0,"a""#, count: 2_040)
        let parts = (0..<10).map { "[\"AAAAAAA\",[0,\($0 * 2_040)]\(siblings)]" }
        let typed = try replica.push(Operations { batch in for part in parts { batch.change(note, json: part) } })
        #expect(typed.verdicts.isEmpty)
        let operations = Operations { batch in
            for _ in 0..<5_000 { batch.change(note, deleting(TextName(rawValue: 99), 0..<1)) }
        }
        var answer: PushAnswer?
        let time = try ContinuousClock().measure { answer = try replica.push(operations) }
        #expect(answer?.verdicts.count == 5_000)
        #expect(time < .seconds(15), "\(time)")
    }

    /// A change of so many runs of one character each, from an offset on.
    private func runs(_ count: Int, from offset: Int = 0) -> String {
        "[\"AAAAAAA\",[0,\(offset)]\(String(repeating: #",-1,0,"a""#, count: count))]"
    }

    @Test func aChangeHasNoMoreThanSoManyParts() throws {
        let most = Limits.changeParts / 2
        #expect(try replica.push(Operations { $0.change(note, json: runs(most)) }).verdicts.isEmpty)
        let answer = try replica.push(Operations { $0.change(note, json: runs(most + 1, from: most)) })
        #expect(answer.verdicts.map(\.reason) == [.malformed])
    }

    @Test func aTextInSoManyPiecesTakesNoMore() throws {
        let count = 2_040
        let taken = (Limits.textPieces - 2 * count) / count + 1
        let answer = try replica.push(
            Operations { batch in
                for index in 0...taken { batch.change(note, json: runs(count, from: index * count)) }
            })
        #expect(answer.verdicts.map(\.reason) == [.tooLarge])
        #expect(try text().utf8.count == taken * count)
    }

    /// The texts of a push are not copied for each of its commands.
    @Test func aPushThatChangesManyTextsIsJudgedInTime() throws {
        let notes = (0..<8_000).map { _ in replica.newID() }
        let operations = Operations { batch in
            for id in notes { batch.makeCustomer(id, name: "n") }
            for id in notes { batch.change(id, typing("字", name)) }
        }
        var answer: PushAnswer?
        let time = try ContinuousClock().measure { answer = try replica.push(operations) }
        #expect(answer?.verdicts.isEmpty == true)
        #expect(time < .seconds(3), "\(time)")
    }
}

extension Operations {
    fileprivate mutating func change(
        _ id: RecordID, _ change: TextDelta, salt: UInt32? = 5, continues: Bool = false
    ) {
        var bytes: [UInt8] = []
        change.encode(into: &bytes)
        self.change(id, json: String(decoding: bytes, as: UTF8.self), salt: salt, continues: continues)
    }

    fileprivate mutating func change(_ id: RecordID, json: String, salt: UInt32? = 5, continues: Bool = false) {
        begin(record: id, time: 1_700_000_000_000, salt: salt, continuesCommand: continues)
        let slice = store(json.utf8)
        edit(CellKey(.body), .textChange, slice: slice)
    }
}
