import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore
import Testing

@testable import ShoalServer

import struct ShoalCRDT.Record

/// The server's database over a year of work that makes, changes and deletes as much as it keeps.
struct CollectionYearTests {
    private static let replicas = 43
    private static let live = 400

    /// Everybody works every third day; one is away from March to May, one in summer, one leaves for good in April.
    private static func isAway(_ replica: Int, _ day: Int) -> Bool {
        switch replica {
        case 1: (60..<140).contains(day)
        case 2: (150..<270).contains(day)
        case 3: day >= 100
        default: false
        }
    }

    @Test(.timeLimit(.minutes(5))) func sizesStayBoundedOverAYear() throws {
        let server = try TestServer(isInMemory: true)
        let random = SeededRandom(7)
        let year = try Year(server, random, count: Self.replicas, live: Self.live)
        var sizes: [Int] = []
        for day in 0..<365 {
            for (index, replica) in year.replicas.enumerated() where !Self.isAway(index, day) {
                if random.below(3) == 0 { try year.work(replica) }
            }
            try year.night()
            if day % 30 == 29 { sizes.append(try year.report(month: day / 30 + 1)) }
        }
        for replica in year.replicas { try replica.sync() }
        let dump = try server.dump()
        for (index, replica) in year.replicas.enumerated() {
            #expect(replica.dump() == dump, "replica \(index)")
            #expect(replica.rows.keys.allSatisfy { !year.mustBeGone.contains($0) }, "replica \(index)")
        }
        for id in year.mustBeGone { #expect(!dump.contains(id.description)) }
        // While one is waited for, what it must be told is kept; the lease bounds that. The hashes of three months are kept too.
        let early = sizes[2]
        #expect(sizes.allSatisfy { $0 < early * 3 }, "\(sizes)")
        #expect((sizes.last ?? 0) < early * 3 / 2, "\(sizes)")
        // Without the disk's time, and with that of whatever else the machine does.
        #expect(year.milliseconds(0.5) < 5, "a step takes \(year.milliseconds(0.5)) ms")
        print(
            "collection: replicas=\(Self.replicas) days=365 operations=\(year.operations) deleted=\(year.mustBeGone.count)",
            "KiB=\(sizes.map { $0 / 1024 }) steps=\(year.steps) median=\(year.milliseconds(0.5))ms",
            "p99=\(year.milliseconds(0.99))ms fills=\(year.fills)"
        )
    }
}

/// A workspace whose number of customers stays about the same.
private final class Year {
    let server: TestServer
    let random: SeededRandom
    let replicas: [TestReplica]
    private let live: Int
    private(set) var mustBeGone: Set<RecordID> = []
    private(set) var operations = 0
    private var times: [Duration] = []
    private var salt: UInt32 = 0
    var steps: Int { times.count }
    var fills: Int { replicas.reduce(0) { $0 + $1.fills } }

    init(_ server: TestServer, _ random: SeededRandom, count: Int, live: Int) throws {
        self.server = server
        self.random = random
        self.live = live
        replicas = try (0..<count).map { try server.replica("员工\($0)") }
        for replica in replicas { try replica.sync() }
    }

    /// How long a step takes at that quantile.
    func milliseconds(_ quantile: Double) -> Double {
        let sorted = times.sorted()
        return sorted.isEmpty ? 0 : sorted[Int(Double(sorted.count - 1) * quantile)] / .milliseconds(1)
    }

    /// One sync of an operator's work: customers made, changed, tagged, and as many deleted as are too many.
    func work(_ replica: TestReplica) throws {
        var operations = Operations()
        let customers = replica.rows.values.filter { $0.envelope.kind == .customer && $0.isPresent }
            .sorted { $0.id < $1.id }
        server.clock.advance(1 + Int64(random.below(60_000)))
        if customers.count < live || random.below(4) == 0 {
            salt += 1
            operations.makeCustomer(replica.newID(), name: "客户\(random.below(10_000))", salt: salt)
        }
        var touched: Set<RecordID> = []
        for _ in 0..<3 where !customers.isEmpty {
            let record = customers[random.below(customers.count)]
            if touched.insert(record.id).inserted { change(record, &operations) }
        }
        if customers.count > live {
            let record = customers[random.below(customers.count)]
            if touched.insert(record.id).inserted {
                salt += 1
                operations.begin(record: record.id, time: server.clock.now, salt: salt)
                operations.cover(record.uncoveredDots())
            }
        }
        self.operations += operations.count
        #expect(try replica.sync(operations).verdicts.allSatisfy { $0.reason == .deletedRecord })
    }

    private func change(_ record: Record, _ operations: inout Operations) {
        salt += 1
        operations.begin(record: record.id, time: server.clock.now, salt: salt)
        if random.below(2) == 0 {
            let live = record.liveDots(in: record.range(of: CellKey(.stage)))
            operations.edit(CellKey(.stage), text: "阶段\(random.below(9))", supersedes: live)
        } else {
            let key = CellKey(.tagged, id: RecordID(rawValue: Int64(1 + random.below(12))))
            let cell = record.range(of: key)
            let isThere = record.shown(in: cell) != nil
            operations.edit(key, isThere ? .absent : .present, supersedes: record.liveDots(in: cell))
        }
    }

    /// A day and a night, with collection in each.
    func night() throws {
        for _ in 0..<4 {
            server.clock.advance(6 * 3_600_000)
            var isDone = false
            while !isDone {
                let start = ContinuousClock.now
                isDone = try server.store.collect(time: server.clock.now).isDone
                times.append(ContinuousClock.now - start)
            }
        }
        for record in try server.store.withWriter({ writer, _ in writer.state.collected }) { mustBeGone.insert(record) }
    }

    /// - Returns: the bytes of the database that are in use.
    func report(month: Int) throws -> Int {
        try server.store.withWriter { _, database in
            func number(_ sql: String) throws -> Int { try Int.fetchOne(database, sql: sql) ?? 0 }
            // The audit is what stays on purpose.
            let audit = try number(
                "SELECT sum(pgsize) FROM dbstat WHERE name IN ('audit', 'audit_mark', 'audit_record', 'audit_head')")
            let pages = try number("PRAGMA page_count") - number("PRAGMA freelist_count")
            let used = try pages * number("PRAGMA page_size") - audit
            let tables = try ["record", "feed", "commit_tag", "log_hashes", "verdict", "collected", "log_mark"].map {
                "\($0)=\(try number("SELECT count(*) FROM \($0)"))"
            }
            print("month \(month):", "KiB=\(used / 1024)", tables.joined(separator: " "))
            return used
        }
    }
}
