import Foundation
import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore
import Testing

@testable import ShoalClient

import struct ShoalCRDT.Record

/// A damaged home: found, mended where that can be told, and the log first.
struct DoctorTests {
    /// An operator with synced customers, and some unsent work.
    private final class Scene {
        let server = TinyServer()
        let home = TemporaryHome()
        let world = TestWorld()
        var replica: Replica
        var synced: [RecordID] = []
        var unsent: [RecordID] = []

        init(customers: Int = 40) throws {
            replica = try Replica.create(
                home: home.path, server: "http://test", key: "key", enrolment: server.enrolment("anna"),
                environment: world.environment)
            for number in 0..<customers {
                synced.append(try replica.addCustomer(name: "Synced-\(number)-\(String(repeating: "s", count: 200))"))
            }
            try replica.sync(server)
            for number in 0..<customers {
                unsent.append(try replica.addCustomer(name: "Unsent-\(number)-\(String(repeating: "u", count: 200))"))
            }
        }

        var path: String { HomeDirectory.databasePath(home.path) }

        func close() throws { try replica.close() }
        func open() throws { replica = try Replica(home: home.path, environment: world.environment) }

        func tamper(_ sql: String) throws {
            try close()
            let queue = try DatabaseQueue(path: path)
            try queue.write { try $0.execute(sql: sql) }
            try queue.close()
            try open()
        }

        /// Damages the page on which `text` stands in the closed database.
        func strike(_ text: String, _ damage: (inout Data, Int, Int) -> Void) throws {
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            let place = try #require(bytes.range(of: Data(text.utf8))).lowerBound
            damage(&bytes, place, place / 4_096 * 4_096)
            try bytes.write(to: URL(fileURLWithPath: path))
        }

        func doctor() throws -> [Finding] {
            let findings = try HomeDoctor(home: home.path, environment: world.environment).mendFile()
            try open()
            return findings
        }
    }

    @Test func aSoundHomeHasNoFindings() throws {
        let scene = try Scene()
        #expect(try scene.replica.examine() == [])
        #expect(try scene.replica.examine(rebuilds: true) == [])
        try scene.close()
        #expect(try scene.doctor() == [])
        #expect(try scene.replica.examine() == [])
    }

    /// A server that lost something may ask for it yet, and nobody else may have it.
    @Test func theStockIsSalvaged() throws {
        let scene = try Scene()
        try scene.tamper(
            """
            INSERT INTO stock (generation, record, cells) SELECT 1, id, cells FROM record;
            INSERT INTO stock_vector (generation, replica, number) VALUES (1, 7, 9);
            INSERT INTO stock_open (record) VALUES (5);
            """)
        let count = { try scene.replica.read { try Int.fetchOne($0.database, sql: "SELECT count(*) FROM stock") } }
        let before = try count()
        try scene.close()
        try scene.strike("Unsent-39-") { bytes, _, page in
            bytes.replaceSubrange(page..<page + 4_096, with: Data(count: 4_096))
        }
        #expect(try !scene.doctor().isEmpty)
        #expect(try count() == before && before ?? 0 > 0)
        #expect(try scene.replica.read { try Int.fetchOne($0.database, sql: "SELECT number FROM stock_vector") } == 9)
        #expect(try scene.replica.read { try Int.fetchOne($0.database, sql: "SELECT record FROM stock_open") } == 5)
    }

    /// Each tampering, what it is found as, and whether it can be mended here.
    static let tamperings: [(String, Finding.Kind, Bool)] = [
        ("UPDATE customer SET name = 'other' WHERE rowid = (SELECT max(rowid) FROM customer)", .derived, true),
        ("DELETE FROM customer WHERE rowid = (SELECT min(rowid) FROM customer)", .derived, true),
        ("INSERT INTO note VALUES (5, 6)", .derived, true),
        ("DELETE FROM author", .derived, true),
        ("INSERT INTO conflict VALUES (5, 6, 0)", .derived, true),
        ("DELETE FROM tail WHERE position = 50", .tail, true),
        ("INSERT INTO tail VALUES (12345, 50)", .tail, true),
        ("UPDATE log SET hash = hash + 1 WHERE position = 3", .log, true),
        ("UPDATE log SET hash = hash + 1 WHERE position = 60", .log, true),
        ("UPDATE log SET operation = x'00' WHERE position = 3", .log, true),
        ("UPDATE log SET operation = x'00' WHERE position = 60", .log, false),
        ("DELETE FROM log WHERE position = 60", .log, false),
        ("UPDATE record SET cells = substr(cells, 1, 20) WHERE rowid = (SELECT max(rowid) FROM record)", .rows, false),
        ("DELETE FROM text_index_data WHERE id > 10", .text, true),
    ]

    @Test(arguments: tamperings) func tamperingIsFoundAndMended(
        _ sql: String, _ kind: Finding.Kind, _ isMended: Bool
    ) throws {
        let scene = try Scene()
        try scene.replica.drainTextIndex()
        let before = try scene.replica.dumpLines
        try scene.tamper(sql)
        let findings = try scene.replica.examine()
        #expect(findings.map(\.kind) == [kind], "\(findings)")
        #expect(findings.first?.isMended == isMended)
        #expect(try scene.replica.examine() == [], "it is mended only once")
        let after = try scene.replica.dumpLines
        if isMended { #expect(after == before) } else { #expect(after.count == before.count - 1) }
        if kind == .log || kind == .tail {
            // Whatever was lost, everything else reaches the server under its own number.
            try scene.replica.sync(scene.server)
            #expect(try scene.replica.status().pending == 0)
            #expect(try scene.replica.dumpLines == scene.server.dump)
            #expect(scene.server.logs.values.max() == 80)
        }
    }

    /// Each kind of damage on each kind of page: nothing that can be read is lost, and what is lost is said.
    static let places = ["Synced-7-", "Unsent-7-", "Unsent-39-"]

    @Test(arguments: places, ["flipped", "zeroed", "truncated"]) func aDamagedFileIsSalvagedLogFirst(
        _ place: String, _ kind: String
    ) throws {
        let scene = try Scene()
        try scene.replica.drainTextIndex(limit: 10_000)
        try scene.close()
        try scene.strike(place) { bytes, at, page in
            switch kind {
            case "flipped": bytes[at] ^= 4
            case "zeroed": bytes.replaceSubrange(page..<page + 4_096, with: Data(count: 4_096))
            default: bytes = bytes.prefix(page)
            }
        }
        let damaged = try Data(contentsOf: URL(fileURLWithPath: scene.path))
        var findings = try scene.doctor()
        if kind != "flipped" {
            #expect(findings.first?.kind == .file)
            let kept = try Data(contentsOf: URL(fileURLWithPath: scene.path + ".damaged-1"))
            #expect(kept == damaged, "the damaged file is kept as it was")
        }
        findings += try scene.replica.examine()
        #expect(!findings.isEmpty)
        let lost = findings.filter { $0.kind == .log && !$0.isMended }
        try scene.replica.fetchAnew()
        try scene.replica.sync(scene.server)
        #expect(try scene.replica.status().pending == 0)
        #expect(try scene.replica.dumpLines == scene.server.dump)
        let names = Set(
            try scene.replica.customers().map { $0.name.split(separator: "-").prefix(2).joined(separator: "-") + "-" })
        for number in 0..<40 { #expect(names.contains("Synced-\(number)-"), "\(number)") }
        let missing = (0..<40).filter { !names.contains("Unsent-\($0)-") }
        #expect(missing.isEmpty == lost.isEmpty, "what is missing is said: \(missing), \(findings)")
        if place.hasPrefix("Synced") { #expect(missing.isEmpty || kind == "truncated", "\(missing)") }
        #expect(try scene.replica.examine() == [])
        // Life goes on.
        _ = try scene.replica.addCustomer(name: "Afterwards")
        try scene.replica.sync(scene.server)
        #expect(try scene.replica.dumpLines == scene.server.dump)
    }

    @Test func aFileWithoutItsFirstPageAndWithoutSpareOnesIsLeftAsItIs() throws {
        let scene = try Scene()
        try scene.close()
        unlink(SparePages.path(scene.home.path))
        var bytes = try Data(contentsOf: URL(fileURLWithPath: scene.path))
        bytes.replaceSubrange(0..<4_096, with: Data(count: 4_096))
        try bytes.write(to: URL(fileURLWithPath: scene.path))
        #expect(throws: StoreError.self) { try scene.doctor() }
        #expect(try Data(contentsOf: URL(fileURLWithPath: scene.path)) == bytes)
        let left = try FileManager.default.contentsOfDirectory(atPath: scene.home.path)
        #expect(!left.contains { $0.contains("damaged") }, "\(left)")
    }

    @Test func anInterruptedSwapIsFinished() throws {
        let scene = try Scene()
        let before = try scene.replica.dumpLines
        try scene.close()
        // As a crash leaves it between the write-ahead log's going and the draft's coming.
        try FileManager.default.copyItem(atPath: scene.path, toPath: scene.path + ".salvage")
        try scene.strike("Unsent-7-") { bytes, _, page in
            bytes.replaceSubrange(page..<page + 4_096, with: Data(count: 4_096))
        }
        #expect(try scene.doctor() == [])
        #expect(try scene.replica.dumpLines == before)
        #expect(!FileManager.default.fileExists(atPath: scene.path + ".salvage"))
    }

    @Test func aRepairReplacesRowsAndTouchesNothingUnsent() throws {
        let scene = try Scene()
        let before = try scene.replica.dumpLines
        try scene.replica.setFields(of: scene.synced[3], [FieldValue("phone", "13800000000")])
        let edited = try scene.replica.dumpLines
        try scene.replica.forget([scene.synced[3], scene.synced[9]])
        #expect(try scene.replica.dumpLines.count == before.count - 2)
        var page = RecordPage()
        for id in [scene.synced[3], scene.synced[9]] {
            let record = try #require(scene.server.records[id])
            page.begin(id, record.envelope)
            for entry in record.entries {
                var copy = entry
                copy.sequence = 0
                page.append(copy, from: record.arena)
            }
        }
        let outcome = try scene.replica.repair(DigestSession.Repair(page: page, gone: []))
        #expect(outcome.replaced == [scene.synced[3], scene.synced[9]])
        #expect(outcome.missing.isEmpty)
        #expect(try scene.replica.dumpLines == edited)
        #expect(try scene.replica.examine() == [])
    }

    @Test func whatTheServerTookAndHasNotIsReported() throws {
        let scene = try Scene()
        let outcome = try scene.replica.repair(
            DigestSession.Repair(page: RecordPage(), gone: [scene.synced[3]]))
        #expect(outcome.missing == [scene.synced[3]])
        // This may be the last copy: it is kept for a server that asks.
        #expect(try scene.replica.heldRecords().contains { $0.record.id == scene.synced[3] && $0.record.isPresent })
        #expect(throws: ReplicaError.self) { try scene.replica.customer(scene.synced[3]) }
    }

    @Test func aHomeWithoutItsWriteAheadLogIsAnEarlierOne() throws {
        let scene = try Scene()
        let before = try scene.replica.dumpLines
        try scene.close()
        try scene.open()
        _ = try scene.replica.addCustomer(name: "In the log only")
        let copy = TemporaryHome()
        try FileManager.default.createDirectory(atPath: copy.path, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: scene.path, toPath: HomeDirectory.databasePath(copy.path))
        #expect(try HomeDoctor(home: copy.path, environment: scene.world.environment).mendFile() == [])
        let replica = try Replica(home: copy.path, environment: scene.world.environment)
        #expect(try replica.examine() == [])
        #expect(try replica.dumpLines == before)
    }

    /// Numbers that a damaged page says are no measure of how long anything takes.
    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            "UPDATE own_log SET acknowledged = 4294967295", "UPDATE own_log SET sent = 4294967295",
            "INSERT INTO tail VALUES (5, 4611686018427387904)",
            "INSERT INTO log VALUES (4611686018427387904, 1, 1, x'00', 0)",
            "UPDATE log SET position = 4000000000 WHERE position = 80",
            "UPDATE log SET hash = 'text', operation = 7 WHERE position = 79",
        ], [true, false])
    func hugeNumbersTakeNoLongTime(_ sql: String, _ isFileDamaged: Bool) throws {
        let scene = try Scene()
        try scene.tamper(sql)
        try scene.close()
        if isFileDamaged {
            try scene.strike("Synced-7-") { bytes, _, page in
                bytes.replaceSubrange(page..<page + 4_096, with: Data(count: 4_096))
            }
        }
        _ = try scene.doctor()
        _ = try scene.replica.examine()
        #expect(try scene.replica.examine() == [])
        try scene.replica.sync(scene.server)
        #expect(try scene.replica.status().pending == 0)
        let names = Set(try scene.replica.customers().map { $0.name.prefix(10) })
        #expect((0..<38).allSatisfy { number in names.contains { $0.hasPrefix("Unsent-\(number)-") } })
    }

    /// Of what nothing else can be found without there are copies.
    @Test(
        arguments: [
            "DELETE FROM standing", "DELETE FROM own_log", "DELETE FROM own_log; DELETE FROM standing",
            "DELETE FROM identity; DELETE FROM own_log; DELETE FROM standing", "0", "127", "255", "random", "sizes",
        ])
    func aHomeThatForgotWhereItStandsIsMendedByItsSparePages(_ damage: String) throws {
        let scene = try Scene()
        let before = try scene.replica.dumpLines
        try scene.close()
        if damage.hasPrefix("DELETE") {
            let queue = try DatabaseQueue(path: scene.path)
            try queue.write { try $0.execute(sql: damage) }
            try queue.close()
        } else {
            var bytes = try Data(contentsOf: URL(fileURLWithPath: scene.path))
            var random = Seeded(7)
            let page =
                switch damage {
                case "random": Data((0..<4_096).map { _ in UInt8.random(in: 0...255, using: &random) })
                // Pages without number, as large as there are, behind a sound beginning: no file system has such a file.
                case "sizes": bytes[..<16] + [0, 1] + Data(repeating: 255, count: 4_078)
                default: Data(repeating: UInt8(damage) ?? 0, count: 4_096)
                }
            bytes.replaceSubrange(0..<4_096, with: page)
            try bytes.write(to: URL(fileURLWithPath: scene.path))
        }
        #expect(try !scene.doctor().isEmpty)
        _ = try scene.replica.examine()
        #expect(try scene.replica.dumpLines == before)
        try scene.replica.sync(scene.server)
        #expect(try scene.replica.dumpLines == scene.server.dump && scene.replica.status().pending == 0)
        #expect(try scene.replica.examine() == [])
    }

    /// It is not taken for a new one, and made anew.
    @Test func aHomeWhoseDatabaseWasEmptiedIsLeftAsItIs() throws {
        let scene = try Scene()
        try scene.close()
        let spare = try Data(contentsOf: URL(fileURLWithPath: scene.path + ".spare"))
        try Data().write(to: URL(fileURLWithPath: scene.path))
        for _ in 0..<2 {
            #expect(throws: ReplicaError.self) { try scene.open() }
            #expect(throws: ReplicaError.self) { _ = try scene.doctor() }
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: scene.path)).isEmpty)
        unlink(scene.path)
        for what in [{ try scene.open() }, { _ = try scene.doctor() }] {
            #expect {
                try what()
            } throws: { error in
                guard case ReplicaError.home = error else { return false }
                return "\(error)".contains("is gone")
            }
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: scene.path + ".spare")) == spare)
    }

    /// SQLite would remove the log of an empty database.
    @Test func aLogWhoseDatabaseWasEmptiedStays() throws {
        let scene = try Scene()
        try scene.close()
        try Data().write(to: URL(fileURLWithPath: scene.path))
        let log = Data(repeating: 7, count: 8_192)
        try log.write(to: URL(fileURLWithPath: scene.path + "-wal"))
        for _ in 0..<2 {
            #expect(throws: ReplicaError.self) { try scene.open() }
            #expect(throws: ReplicaError.self) { _ = try scene.doctor() }
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: scene.path + "-wal")) == log)
    }

    /// A page of the text index that went back to an earlier state stops nothing, and is found.
    @Test func anIndexThatForgotItsNumbersIsMended() throws {
        let scene = try Scene()
        func forget() throws {
            try scene.close()
            try DatabaseQueue(path: scene.path).write { database in
                #expect(try Int.fetchOne(database, sql: "SELECT max(document) FROM text_document") ?? 0 > 0)
                try database.execute(sql: "UPDATE text_number SET value = 0")
            }
            try scene.open()
        }
        try scene.replica.drainTextIndex()
        try forget()
        _ = try scene.replica.addCustomer(name: "新客户")
        try scene.replica.drainTextIndex()
        #expect(try scene.replica.search("新客户").count == 1)
        try forget()
        let findings = try scene.replica.examine()
        #expect(findings.map(\.kind) == [.text], "\(findings)")
        #expect(try scene.replica.examine() == [])
        try scene.replica.drainTextIndex()
        #expect(try scene.replica.search("新客户").count == 1)
    }

    /// Where it says what is in the file and who the replica is may be cut off: of those pages there are spare ones.
    @Test(arguments: [1, 2, 3, 5, 8, 13, 20, 30, 40])
    func aHomeThatIsCutOffAnywhereGivesUpWhatIsThere(pages: Int) throws {
        let scene = try Scene()
        try scene.close()
        let bytes = try Data(contentsOf: URL(fileURLWithPath: scene.path))
        let kept = bytes.prefix(min(bytes.count - 4_096, pages * 4_096))
        try kept.write(to: URL(fileURLWithPath: scene.path))
        let findings = try scene.doctor()
        #expect(findings.first?.isMended == true, "\(findings)")
        _ = try scene.replica.sync(scene.server)
    }

    /// A bit in the list of migrations is no newer version.
    @Test func aDamagedListOfVersionsIsDamage() throws {
        let scene = try Scene()
        let before = try scene.replica.dumpLines
        try scene.close()
        let queue = try DatabaseQueue(path: scene.path)
        try queue.write {
            try $0.execute(sql: "UPDATE grdb_migrations SET identifier = 'x' || identifier WHERE rowid = 2")
        }
        try queue.close()
        #expect(throws: StoreError.self) { try scene.open() }
        #expect(try scene.doctor().count > 0)
        #expect(try scene.replica.dumpLines == before)
        // One that has all of this and more is newer.
        try scene.close()
        let newer = try DatabaseQueue(path: scene.path)
        try newer.write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('99 later')") }
        try newer.close()
        #expect(throws: StoreError.newerVersion(path: scene.path)) { _ = try scene.doctor() }
    }

    /// The copy of the first page is older than the file: what came behind the end that it names is there all the same.
    @Test func aHomeThatGrewSinceItsSparePagesWereTakenIsMendedWhole() throws {
        let scene = try Scene()
        try scene.close()
        try scene.open()
        for number in 0..<200 {
            _ = try scene.replica.addCustomer(name: "Later-\(number)-\(String(repeating: "l", count: 500))")
        }
        let before = try scene.replica.dumpLines
        try scene.close()
        var bytes = try Data(contentsOf: URL(fileURLWithPath: scene.path))
        bytes.replaceSubrange(0..<4_096, with: Data(count: 4_096))
        try bytes.write(to: URL(fileURLWithPath: scene.path))
        #expect(try !scene.doctor().isEmpty)
        _ = try scene.replica.examine()
        #expect(try scene.replica.dumpLines == before)
    }

    /// Whatever a flipped bit makes of how the tables are described: nothing but an error, and the doctor mends it.
    @Test(arguments: 0..<8) func aDamagedDescriptionOfTheTablesIsDamage(part: Int) throws {
        let scene = try Scene()
        let before = try scene.replica.dumpLines
        try scene.close()
        let sound = try Data(contentsOf: URL(fileURLWithPath: scene.path))
        let spare = try Data(contentsOf: URL(fileURLWithPath: scene.path + ".spare"))
        let pages = try #require(SparePages.read(scene.home.path)).pages.filter(\.isSchema).map { Int($0.number) }
        var random = Seeded(UInt64(part) + 1)
        var refused = 0
        for _ in 0..<12 {
            let page = try #require(pages.randomElement(using: &random))
            let place = Int.random(in: (page == 1 ? 108 : 0)..<4_096, using: &random) + (page - 1) * 4_096
            var bytes = sound
            bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            unlink(scene.path + "-wal")
            try bytes.write(to: URL(fileURLWithPath: scene.path))
            try spare.write(to: URL(fileURLWithPath: scene.path + ".spare"))
            do {
                try scene.open()
            } catch is StoreError {
                refused += 1
                #expect(try scene.doctor().first?.isMended == true)
                _ = try scene.replica.examine()
            }
            #expect(try scene.replica.dumpLines == before, "\(place)")
            try scene.close()
        }
        #expect(refused > 0)
    }

    /// A column that is called otherwise ended the program where it was asked for.
    @Test(arguments: ["name TEXT NOT NULL", "acknowledged INTEGER", "folded TEXT NOT NULL"])
    func aColumnOfAnotherNameIsFound(_ column: String) throws {
        let scene = try Scene()
        let before = try scene.replica.dumpLines
        try scene.close()
        try scene.strike(column) { bytes, place, _ in bytes[place] ^= 2 }
        #expect {
            try scene.open()
        } throws: { error in
            guard case StoreError.damaged(_, let reason) = error else { return false }
            return reason.contains("its table")
        }
        #expect(try scene.doctor().first?.isMended == true)
        _ = try scene.replica.examine()
        #expect(try scene.replica.dumpLines == before)
        // Without a copy of it nothing is read by other names, and nothing is thrown away.
        try scene.close()
        try scene.strike(column) { bytes, place, _ in bytes[place] ^= 2 }
        unlink(scene.path + ".spare")
        let damaged = try Data(contentsOf: URL(fileURLWithPath: scene.path))
        #expect(throws: ReplicaError.self) { _ = try scene.doctor() }
        #expect(try Data(contentsOf: URL(fileURLWithPath: scene.path)) == damaged)
    }

    /// Copies that are damaged themselves are none.
    @Test func sparePagesThatChangedAreNotUsed() throws {
        let scene = try Scene()
        try scene.close()
        let path = SparePages.path(scene.home.path)
        var spare = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(SparePages.read(scene.home.path)?.pages.contains { $0.number == 1 && $0.isSchema } == true)
        for place in [0, 9, 20, 30, spare.count / 2, spare.count - 1] {
            spare[place] ^= 1
            try spare.write(to: URL(fileURLWithPath: path))
            #expect(SparePages.read(scene.home.path) == nil, "\(place)")
            spare[place] ^= 1
        }
        try spare.prefix(spare.count - 1).write(to: URL(fileURLWithPath: path))
        #expect(SparePages.read(scene.home.path) == nil)
    }

    /// Who opens a home for one note does not pay for copies of what stayed as it was.
    @Test func sparePagesAreTakenWhenWhatTheySayHasChanged() throws {
        let scene = try Scene()
        let path = SparePages.path(scene.home.path)
        let file = { try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int }
        try scene.close()
        let first = try file()
        try scene.open()
        _ = try scene.replica.addCustomer(name: "Another")
        try scene.close()
        #expect(try file() == first)
        let queue = try DatabaseQueue(path: scene.path)
        try queue.write { try $0.execute(sql: "CREATE TABLE other (name TEXT)") }
        try queue.close()
        try scene.open()
        try scene.close()
        #expect(try file() != first)
        #expect(SparePages.read(scene.home.path)?.pages.isEmpty == false)
    }

    /// Laid over the new file they would be another file's pages.
    @Test func theSparePagesOfAFileThatIsPutAwayGoWithIt() throws {
        let scene = try Scene()
        try scene.close()
        try scene.strike("Unsent-39-") { bytes, _, page in
            bytes.replaceSubrange(page..<page + 4_096, with: Data(count: 4_096))
        }
        #expect(SparePages.read(scene.home.path) != nil)
        #expect(try !HomeDoctor(home: scene.home.path, environment: scene.world.environment).mendFile().isEmpty)
        #expect(SparePages.read(scene.home.path) == nil)
    }

    /// Where a home stands is its own to know: emptied, it is not taken for a home that has nothing.
    @Test(arguments: ["DELETE FROM standing", "DELETE FROM own_log", "DELETE FROM own_log; DELETE FROM standing"])
    func aHomeThatForgotWhereItStandsIsSaidToBeDamaged(_ sql: String) throws {
        let scene = try Scene()
        try scene.close()
        unlink(SparePages.path(scene.home.path))
        let queue = try DatabaseQueue(path: scene.path)
        try queue.write { try $0.execute(sql: sql) }
        try queue.close()
        #expect {
            try HomeDoctor(home: scene.home.path, environment: scene.world.environment).mendFile()
        } throws: { error in
            guard case ReplicaError.home = error else { return false }
            return "\(error)".contains("80 changes")
        }
        // Nor does anybody write into it, or think that it was never enrolled.
        #expect {
            let replica = try Replica(home: scene.home.path, environment: scene.world.environment)
            _ = try replica.addCustomer(name: "x")
        } throws: { error in
            guard case StoreError.damaged = error else { return false }
            return true
        }
    }

    @Test func whatCouldNotBeReadIsNotSaidToBeRefused() throws {
        let scene = try Scene()
        try scene.tamper("UPDATE log SET operation = x'00' WHERE position = 60")
        _ = try scene.replica.examine()
        scene.server.refuses = [
            try scene.replica.read { store in
                var batch = Operations()
                _ = try store.log.read(60, into: &batch)
                return batch.operations[0].record
            }
        ]
        try scene.replica.sync(scene.server)
        let set = try scene.replica.refused()
        #expect(set.contains { $0.isUnreadable } && set.filter(\.isUnreadable).count == 1)
        #expect(set.filter(\.isUnreadable).allSatisfy { $0.values.isEmpty })
    }
}
