import GRDB
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalClient

import struct ShoalCRDT.Record

/// Random work of several operators over one server, checked after every step.
@Suite struct ProjectionTests {
    static let tables = [
        "customer", "customer_tag", "follow", "note", "tag_group", "tag", "tag_merge", "account", "author",
        "conflict",
    ]

    static func tables(_ replica: Replica) throws -> [String: [String]] {
        try replica.read { store in
            var all: [String: [String]] = [:]
            for table in tables {
                all[table] = try Row.fetchAll(store.database, sql: "SELECT * FROM \(table)").map { "\($0)" }.sorted()
            }
            return all
        }
    }

    /// The effective record of everything, from rows and log alone.
    static func randomStep(_ one: Operator, _ random: inout Seeded) throws {
        let replica = one.replica
        one.world.time += Int64.random(in: 0...2_000, using: &random)
        let customers = try replica.customers().map(\.id)
        let target = customers.randomElement(using: &random)
        switch Int.random(in: 0..<13, using: &random) {
        case 12:
            let tags = try replica.tags().map { $0.group.isEmpty ? $0.name : "\($0.group)/\($0.name)" }
            guard let tag = tags.randomElement(using: &random), let other = tags.randomElement(using: &random) else {
                return
            }
            do {
                switch random.next() % 5 {
                case 0: try replica.renameTag(tag, to: "r\(random.next() % 3)")
                case 1, 2: try replica.mergeTag(tag, into: other)
                case 3:
                    let merged = try replica.tags().flatMap(\.merged)
                    try replica.splitTag(merged.randomElement(using: &random) ?? tag)
                default: try replica.deleteTag(tag)
                }
            } catch ReplicaError.invalidTag, ReplicaError.notMerged, ReplicaError.ambiguousTag {}
        case 0, 1: _ = try replica.addCustomer(name: "c\(random.next() % 100)")
        case 2, 3:
            guard let target else { return }
            let names = ["name", "stage", "remark", "x-a", "birth_month", "description"]
            let value = ["", "1", "a-b-c-d", "free", "王"].randomElement(using: &random) ?? ""
            try replica.setFields(of: target, [FieldValue(names.randomElement(using: &random) ?? "name", value)])
        case 4, 5, 6:
            guard let target else { return }
            let tag = ["A/x", "A/y", "A/z", "B/x", "v", "Ｖ"].randomElement(using: &random) ?? "v"
            do { try replica.editTags(of: [target], [.add(tag)]) } catch ReplicaError.archivedTag,
                ReplicaError.ambiguousTag
            { _ = try? replica.addTag(tag) }
        case 7:
            guard let target, let tag = try replica.tags().randomElement(using: &random) else { return }
            try replica.editTags(of: [target], [.remove(tag.group.isEmpty ? tag.name : "\(tag.group)/\(tag.name)")])
        case 8:
            guard let target else { return }
            _ = try replica.addNote(to: target, "note \(random.next() % 1_000)")
        case 9:
            guard let target, let note = try replica.notes(of: target).randomElement(using: &random) else { return }
            if random.next() % 3 == 0 {
                try replica.deleteNote(note.id)
            } else {
                try replica.editNote(note.id, "edited \(random.next() % 10)")
            }
        case 10:
            guard let target, random.next() % 2 == 0 else { return }
            try replica.deleteCustomer(target)
        default:
            if let conflict = try replica.conflicts().randomElement(using: &random) {
                try replica.settle(conflict.record, field: conflict.field, choice: 0)
            } else {
                _ = try replica.addTag("A/w", single: true)
            }
        }
    }

    @Test(arguments: 1...12) func derivedTablesAreWhatARebuildMakesAndAllConverge(seed: Int) throws {
        var random = Seeded(UInt64(seed))
        let server = TinyServer()
        server.pageSize = Int.random(in: 1...8, using: &random)
        let all = try (0..<3).map { try Operator("op\($0)", server, seed: UInt64(seed * 10 + $0)) }
        for step in 0..<120 {
            guard let one = all.randomElement(using: &random) else { return }
            try Self.randomStep(one, &random)
            if random.next() % 6 == 0 { try one.replica.sync(server) }
            if step % 20 == 0 { try check(one.replica) }
        }
        for _ in 0..<2 { for one in all { try one.replica.sync(server) } }
        for one in all {
            try check(one.replica)
            let lines = try one.replica.dumpLines
            let different = zip(lines, server.dump).first { $0.0 != $0.1 }
            #expect(lines.count == server.dump.count)
            #expect(different == nil)
            #expect(try one.replica.status().pending == 0)
            let overlaid = try one.replica.read { try $0.log.tailRecords() }
            #expect(overlaid.isEmpty)
            let again = try one.replica.sync(server)
            #expect(again.pushed == 0 && again.pulled == 0)
        }
        #expect(try Self.tables(all[0].replica)["conflict"] == Self.tables(all[1].replica)["conflict"])
    }

    private func check(_ replica: Replica) throws {
        let kept = try Self.tables(replica)
        try replica.rebuildProjections()
        let derived = try Self.tables(replica)
        for table in Self.tables { #expect(kept[table] == derived[table], "\(table)") }
    }

    /// Another program may write an element that is no identifier: nobody follows then, and no tag is there.
    @Test func anElementThatIsNoIdentifierIsNobodys() throws {
        let server = TinyServer()
        let one = try Operator("anna", server)
        let id = try one.replica.addCustomer(name: "c")
        try one.replica.sync(server)
        let (before, customer) = (try Self.tables(one.replica), try one.replica.customer(id))
        server.write { batch in
            batch.begin(record: id, time: server.time)
            for field in [Field.follow, .tagged] {
                batch.edit(CellKey(field, text: batch.store("0CN9CYTH00000".utf8)), .present)
            }
        }
        try one.replica.sync(server)
        #expect(try Self.tables(one.replica) == before)
        #expect(try one.replica.customer(id).followers == customer.followers && one.replica.customer(id).tags.isEmpty)
        #expect(try one.replica.examine().isEmpty)
    }

    @Test func anEmptyReplicaFilledByPagesHoldsWhatTheServerHolds() throws {
        let server = TinyServer()
        server.pageSize = 7
        var random = Seeded(3)
        let anna = try Operator("Anna", server)
        for _ in 0..<150 { try Self.randomStep(anna, &random) }
        try anna.replica.sync(server)
        let bert = try Operator("Bert", server, seed: 9)
        // Work before the first sync stays on top of the fill.
        let early = try bert.replica.addCustomer(name: "early")
        try bert.replica.sync(server)
        try anna.replica.sync(server)
        #expect(try bert.replica.customer(early).fields == [FieldValue("name", "early")])
        #expect(try bert.replica.dumpLines == server.dump)
        #expect(try Self.tables(anna.replica) == Self.tables(bert.replica))
        try check(bert.replica)
    }

    /// A fill breaks off and begins anew; meanwhile a record that it had named vanished.
    @Test(arguments: [true, false]) func aFillThatBeginsAnewRemovesWhatOnlyTheFirstAttemptNamed(
        isInitial: Bool
    ) throws {
        let server = TinyServer()
        server.pageSize = 4
        let anna = try Operator("Anna", server)
        let ids = try (0..<10).map { try anna.replica.addCustomer(name: "c\($0)") }
        try anna.replica.sync(server)
        let bert = try Operator("Bert", server, seed: 2)
        if !isInitial { try bert.replica.sync(server) }
        let start = try bert.replica.nextRequest()
        /// Answers from the beginning of a fill: the first pages only, or all.
        func fill(pages: Int) throws {
            var request = start
            request.cursor = ""
            for _ in 0..<pages {
                let answer = server.handle(request)
                let commit = ClientSession.Commit.test(
                    answer, replica: start.logs[0].replica, takenUpTo: start.logs[0].position, isFill: true)
                try bert.replica.commit(commit)
                if !answer.more { break }
                request.cursor = answer.cursor
            }
        }
        try fill(pages: 2)
        server.records[ids[1]] = nil
        try fill(pages: .max)
        #expect(try bert.replica.customers().map(\.id) == ids.filter { $0 != ids[1] })
        #expect(try bert.replica.dumpLines == server.dump)
        try check(bert.replica)
    }

    @Test func aFillThatReplacesRemovesWhatItDoesNotName() throws {
        let server = TinyServer()
        server.pageSize = 3
        let anna = try Operator("Anna", server)
        let ids = try (0..<10).map { try anna.replica.addCustomer(name: "c\($0)", fields: [FieldValue("stage", "s")]) }
        try anna.replica.sync(server)
        // The server restarts the replica with a fill from which two records are gone.
        server.records[ids[3]] = nil
        server.records[ids[4]] = nil
        try anna.replica.setFields(of: ids[4], [FieldValue("stage", "unsent")])
        try anna.replica.setFields(of: ids[5], [FieldValue("stage", "unsent too")])
        let unsent = try anna.replica.nextRequest()
        try anna.replica.read { try $0.database.execute(sql: "SELECT 1") }
        var fill = unsent
        fill.cursor = ""
        fill.operations = Operations()
        var from = unsent.cursor
        while true {
            let answer = server.handle(fill)
            let commit = ClientSession.Commit.test(
                answer, replica: unsent.logs[0].replica, takenUpTo: unsent.logs[0].position, isFill: true)
            try anna.replica.commit(commit)
            from = answer.cursor
            if !answer.more { break }
            fill.cursor = from
        }
        #expect(try anna.replica.customers().map(\.id) == ids.filter { $0 != ids[3] && $0 != ids[4] })
        #expect(try anna.replica.customer(ids[5]).fields.last == FieldValue("stage", "unsent too"))
        #expect(try anna.replica.status().pending == 2)
        try check(anna.replica)
    }
}

extension ClientSession.Commit {
    /// What a session makes of an answer, by way of one.
    static func test(
        _ answer: SyncResponse, replica: ReplicaID, takenUpTo: UInt32, isFill: Bool
    ) -> ClientSession.Commit {
        var response = answer
        response.push = .taken(upTo: takenUpTo, acknowledgement: "", verdicts: [])
        response.isFill = isFill
        response.from = "x"
        var session = ClientSession()
        _ = session.start(
            SyncRequest(
                epoch: 0, cursor: "x", acknowledgement: "",
                logs: [LogPosition(replica: replica, position: takenUpTo, hash: .start, end: takenUpTo)],
                operations: Operations()))
        guard case .commit(let commit) = session.receive(response) else { fatalError("the answer fits the request") }
        return commit
    }
}
