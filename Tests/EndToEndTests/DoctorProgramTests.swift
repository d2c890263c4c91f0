import Foundation
import Testing

/// Damage under the real programs.
@Suite(.serialized) struct DoctorProgramTests {
    /// Flips a bit of the first place in a file where `text` stands.
    private func flip(_ path: String, at text: String) throws {
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        let place = try #require(bytes.range(of: Data(text.utf8))).lowerBound
        bytes[place] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
    }

    private func zero(_ path: String, at text: String) throws {
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        let page = try #require(bytes.range(of: Data(text.utf8))).lowerBound / 4_096 * 4_096
        bytes.replaceSubrange(page..<page + 4_096, with: Data(count: 4_096))
        try bytes.write(to: URL(fileURLWithPath: path))
    }

    @Test func aSoundHomeIsWellAndComparedInTwoMessages() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "anna")
            try await scene.ok("a", "customer", "add", "Chen")
            let report = try await scene.json("a", "doctor")
            #expect(report["findings"] == [] && report["compared"] == .bool(true))
            #expect(report["messages"] == 2)
            #expect(try await scene.ok("a", "doctor").contains("all is well"))
            #expect(try await scene.ok("a", "doctor", "--rebuild").contains("all is well"))
        }
    }

    @Test func aFlippedBitInARowIsFetchedAgainAndNothingElse() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "anna")
            try await scene.enroll("b", as: "berta")
            for name in ["Chen", "Qwertz", "Wang"] { try await scene.ok("b", "customer", "add", name) }
            try await scene.ok("b", "sync")
            try await scene.ok("a", "sync")
            let before = try await scene.ok("a", "dump")
            try await scene.ok("a", "customer", "add", "Unsent")
            try flip(scene.home("a") + "/replica.db", at: "Qwertz")
            let report = try await scene.json("a", "doctor")
            #expect(report["findings"].items.allSatisfy { $0["mended"] == .bool(true) }, "\(report)")
            #expect(!report["findings"].items.isEmpty)
            let after = try await scene.ok("a", "dump")
            for line in before.split(separator: "\n") { #expect(after.contains(line)) }
            #expect(after.contains("Unsent"))
            #expect(try await scene.json("a", "doctor")["findings"] == [])
        }
    }

    @Test func withoutTheServerTheNextSyncFetchesIt() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "anna")
            try await scene.enroll("b", as: "berta")
            try await scene.ok("b", "customer", "add", "Qwertz")
            try await scene.ok("b", "sync")
            try await scene.ok("a", "sync")
            let before = try await scene.ok("a", "dump")
            try await scene.stopServer()
            let well = try await scene.ok("a", "doctor")
            #expect(well.contains("not compared"))
            try flip(scene.home("a") + "/replica.db", at: "Qwertz")
            let sick = try await scene.shoal("a", "doctor")
            #expect(sick.status == 1)
            #expect(sick.errors.contains("could not be read"))
            try await scene.startServer()
            try await scene.ok("a", "sync")
            #expect(try await scene.ok("a", "dump") == before)
            #expect(try await scene.json("a", "doctor")["findings"] == [])
        }
    }

    @Test func aDamagedFileGivesUpItsUnsentWorkFirst() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "anna")
            try await scene.enroll("b", as: "berta")
            let filler = String(repeating: "f", count: 900)
            for number in 0..<20 { try await scene.ok("a", "customer", "add", "Synced\(number) \(filler)") }
            try await scene.ok("a", "sync")
            try await scene.ok("a", "customer", "add", "Unsent")
            try zero(scene.home("a") + "/replica.db", at: "Synced7 ")
            let mended = try await scene.shoal("a", "doctor", "--json")
            #expect(mended.status == 0, "\(mended.errors)")
            #expect(FileManager.default.fileExists(atPath: scene.home("a") + "/replica.db.damaged-1"))
            try await scene.ok("a", "sync")
            try await scene.ok("b", "sync")
            #expect(try await scene.ok("a", "dump") == scene.ok("b", "dump"))
            #expect(try await scene.ok("b", "dump").contains("Unsent"))
        }
    }

    @Test func aHomeThatWasCutOffGivesUpWhatIsLeftOfItsUnsentWork() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "anna")
            try await scene.enroll("b", as: "berta")
            let filler = String(repeating: "f", count: 900)
            for number in 0..<20 { try await scene.ok("a", "customer", "add", "Unsent\(number) \(filler)") }
            let path = scene.home("a") + "/replica.db"
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            let cut = bytes.prefix(bytes.count / 10 * 9 + 100)
            try cut.write(to: URL(fileURLWithPath: path))
            // Each stands in a page of the log and in one of the list; what stands where it did is there.
            let end = cut.count / 4_096 * 4_096
            let left = (0..<20).filter { number in
                bytes[end...].range(of: Data("Unsent\(number) ".utf8)) == nil
            }
            let mended = try await scene.shoal("a", "doctor")
            #expect(mended.text.contains("of yours in the log could be read"), "\(mended.text)\(mended.errors)")
            #expect(mended.status == 0 || mended.sentences.count == 1, "\(mended.errors)")
            try await scene.ok("a", "sync")
            try await scene.ok("b", "sync")
            let dump = try await scene.ok("b", "dump")
            #expect(left.count >= 4 && left.count < 20 && left.allSatisfy { dump.contains("Unsent\($0) ") }, "\(left)")
            #expect(try await scene.ok("a", "dump") == dump)
            #expect(try await !scene.ok("a", "status").contains("refused by the server"))
            #expect(try await scene.json("a", "doctor")["findings"] == [])
        }
    }

    /// Also where it says what is in the file, who the replica is and which logs it wrote.
    @Test func aHomeWithAnyOfItsFirstPagesDamagedGivesUpItsUnsentWork() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "anna")
            for number in 0..<12 { try await scene.ok("a", "customer", "add", "Unsent\(number)") }
            for page in 1...12 {
                let copy = "a\(page)"
                try FileManager.default.copyItem(atPath: scene.home("a"), toPath: scene.home(copy))
                let path = scene.home(copy) + "/replica.db"
                var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
                bytes.replaceSubrange((page - 1) * 4_096..<page * 4_096, with: Data(count: 4_096))
                try bytes.write(to: URL(fileURLWithPath: path))
                let doctor = try await scene.shoal(copy, "doctor")
                let list = try await scene.shoal(copy, "dump")
                // The log itself is on two of them; what is on the other is there.
                let found = (0..<12).count { list.text.contains("Unsent\($0)\"") }
                #expect(
                    found == 12 || doctor.text.contains("in the log"), "page \(page): \(doctor.text)\(doctor.errors)")
                #expect(list.status == 0, "page \(page): \(doctor.text)\(doctor.errors)\(list.errors)")
                try await scene.ok(copy, "sync")
            }
            try await scene.ok("a", "sync")
            try await scene.ok("a2", "sync")
            try await scene.ok("a", "sync")
            #expect(try await scene.ok("a2", "dump") == scene.ok("a", "dump"))
        }
    }

    @Test func aServerWithADamagedRowServesTheOthersAndSaysSo() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "anna")
            for name in ["Chen", "Qwertz", "Wang"] { try await scene.ok("a", "customer", "add", name) }
            try await scene.ok("a", "sync")
            let backup = scene.home("monday.db")
            #expect(try await scene.shoald("backup", backup).status == 0)
            #expect(try await scene.shoald("backup", backup).status == 1)
            #expect(try await scene.shoald("check").status == 0)
            try await scene.stopServer()
            try flip(scene.home("server") + "/shoald.db", at: "Qwertz")
            #expect(try await scene.shoald("check").status == 1)
            try await scene.startServer()
            try await scene.enroll("b", as: "berta")
            let dump = try await scene.ok("b", "dump")
            #expect(dump.contains("Chen") && dump.contains("Wang") && !dump.contains("Qwertz"))
            // The replica that has it keeps it.
            let report = try await scene.json("a", "doctor")
            #expect(report["omitted"] == 1)
            #expect(try await scene.ok("a", "dump").contains("Qwertz"))
            let check = try await scene.shoald("check", "--json")
            #expect(check.status == 1)
            #expect(try JSON(check.output)["quarantined"].items.count == 1)
            // A backup has it as it is, and says so; it can be gone back to.
            let damaged = scene.home("tuesday.db")
            let made = try await scene.shoald("backup", damaged)
            #expect(made.status == 1 && made.errors.contains("1 record is damaged"), "\(made.errors)")
            let restored = try await scene.beginShoald(["restore", damaged], data: "other").end()
            #expect(restored.status == 0 && restored.text.contains("1 of its records is damaged"), "\(restored.text)")
            #expect(try await scene.shoald("check", "--mend", backup).status == 0)
            try await scene.ok("b", "sync")
            #expect(try await scene.ok("b", "dump") == scene.ok("a", "dump"))
        }
    }

    @Test func aDamagedErasureLedgerIsFoundAndCanBePutRight() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "anna")
            let id = String(try await scene.ok("a", "customer", "add", "Chen").suffix(13))
            try await scene.ok("a", "sync")
            #expect(try await scene.shoald("erase", id).status == 0)
            try await scene.stopServer()
            let ledger = scene.home("server") + "/erasures"
            let sound = try Data(contentsOf: URL(fileURLWithPath: ledger))
            try (sound + Data("junk\n".utf8)).write(to: URL(fileURLWithPath: ledger))
            let check = try await scene.shoald("check")
            #expect(check.status == 1 && check.text.contains("line 2 of \(ledger) is not in form"), "\(check.text)")
            #expect(try await scene.shoald("check", "--mend", "/nowhere").errors.contains("line 2"))
            try sound.write(to: URL(fileURLWithPath: ledger))
            #expect(try await scene.shoald("check").status == 0)
            try await scene.startServer()
            try await scene.ok("a", "sync")
        }
    }

    @Test func aBackupIsRestoredByTheDocumentedCommands() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "anna")
            try await scene.ok("a", "customer", "add", "Chen")
            try await scene.ok("a", "sync")
            let backup = scene.home("monday.db")
            #expect(try await scene.shoald("backup", backup).status == 0)
            let before = try await scene.shoald("dump").text
            #expect(try await scene.shoald("restore", backup).status == 1)
            try await scene.stopServer()
            #expect(try await scene.shoald("restore", backup).status == 1)
            for suffix in ["", "-wal", "-shm"] {
                try? FileManager.default.moveItem(
                    atPath: scene.home("server") + "/shoald.db" + suffix, toPath: scene.home("old.db") + suffix)
            }
            // What a backup and a restoration that were killed have left is not kept for ever.
            let leftovers = [
                "\(backup).part", scene.home("server") + "/shoald.db.part",
                scene.home("server") + "/shoald.db.part-wal",
            ]
            for path in leftovers { try Data("everybody".utf8).write(to: URL(fileURLWithPath: path)) }
            let restored = try await scene.shoald("restore", backup)
            #expect(restored.status == 0 && restored.text.contains("accounts and roles are as they were"))
            #expect(!restored.text.contains("revoke again"))
            #expect(leftovers.map { access($0, F_OK) == 0 } == [true, false, false])
            for path in leftovers { try Data("everybody".utf8).write(to: URL(fileURLWithPath: path)) }
            try await scene.startServer()
            #expect(leftovers.map { access($0, F_OK) == 0 } == [true, false, false])
            #expect(try await scene.shoald("backup", scene.home("monday.db") + "2").status == 0)
            unlink(backup)
            #expect(try await scene.shoald("backup", backup).status == 0)
            #expect(leftovers.allSatisfy { access($0, F_OK) != 0 })
            #expect(try await scene.shoald("dump").text == before)
            #expect(try await scene.shoald("check").status == 0)
            try await scene.ok("a", "sync")
            #expect(try await scene.json("a", "doctor")["findings"] == [])
        }
    }
}
