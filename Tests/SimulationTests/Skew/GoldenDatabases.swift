import Foundation
import GRDB
import ShoalCRDT
import ShoalClient
import ShoalProtocol
import ShoalServer
import ShoalSimulation
import Testing

/// A server's database and a home of it, as this version wrote them in one run: `Tests/SimulationTests/Fixtures`. With
/// `SHOAL_RECORD=1` they are made anew, which is for a version that is not released yet only.
struct GoldenDatabases {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/v1")
    static let isRecording = ProcessInfo.processInfo.environment["SHOAL_RECORD"] != nil
    /// After everything that the recorded run did.
    static let time: Int64 = 1_770_000_000_000

    static func read(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: folder.appending(path: name))) }

    static func lines(_ name: String) throws -> [String] {
        String(decoding: try read(name), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    private static func write(_ name: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: folder.appending(path: name))
    }

    static func write(_ name: String, lines: [String]) throws {
        try write(name, Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    /// A disk with the frozen files of one machine.
    static func image(_ file: String, as name: String) throws -> DiskImage {
        var image = DiskImage()
        image[name] = try Deflate.expand(try read(file), limit: 64 << 20)
        return image
    }

    static let homeFile = "home.db.z"
    static let serverFile = "server.db.z"
    static let homeName = "home/replica.db"
    static let serverName = "shoald.db"

    // MARK: Recording

    /// What operators do in some weeks: everything that leaves a row of its own somewhere.
    static func record() throws {
        let scene = try LineageScene(seed: 2_026)
        let anna = try scene.machine("anna"), bert = try scene.machine("bert"), gone = try scene.machine("gone")
        var customers: [RecordID] = []
        for number in 0..<6 {
            let id = try anna.replica.addCustomer(
                name: "王小明 \(number)",
                fields: [
                    FieldValue("phone", "1380000000\(number)"), FieldValue("x-宠物", "猫"), FieldValue("stage", "new"),
                ])
            _ = try anna.replica.addNote(to: id, "首次到店 \(number)")
            customers.append(id)
        }
        _ = try anna.replica.addTag("皮肤/油皮", single: true)
        _ = try anna.replica.editTags(of: [customers[0], customers[1]], [.add("皮肤/油皮"), .add("vip")])
        try anna.replica.follow(customers[0], account: "anna")
        try scene.settle([anna, bert, gone])
        try anna.replica.follow(customers[0], account: "bert")
        // Conflicts: of a register, of a note, of a single choice; one is settled.
        let note = try anna.replica.notes(of: customers[1])[0].id
        for (machine, text) in [(anna, "anna's"), (bert, "bert's")] {
            try machine.replica.setFields(of: customers[1], [FieldValue("name", text), FieldValue("source", text)])
            try machine.replica.editNote(note, text)
            _ = try machine.replica.editTags(of: [customers[2]], [.add("皮肤/\(text)")])
        }
        try scene.settle([anna, bert, gone])
        try bert.replica.settle(customers[1], field: "source", choice: 1, token: nil)
        // What later versions write.
        try bert.replica.write { commands in
            try commands.write("9.99", LaterVersion.budget, of: customers[3])
            try commands.prefer("rosé", "x-shade", of: customers[3])
            try commands.write(LaterVersion.run, json: #"{ "run" : 1.50 }"#, .stage, of: customers[3])
            try commands.operate(json: "[true]", on: customers[3])
            try commands.add(4, to: customers[3], LaterVersion.visits)
            let visit = try commands.make(
                LaterVersion.visit, scope: .customer(customers[3]), [(LaterVersion.budget, "7")])
            try commands.write(LaterVersion.rights, json: "[]", LaterVersion.script, of: visit)
        }
        // Removed, deleted, collected.
        _ = try anna.replica.editTags(of: [customers[1]], [.remove("vip")])
        try anna.replica.deleteCustomer(customers[5])
        try scene.settle([anna, bert, gone])
        _ = try scene.server.store.collectAll(time: scene.world.now())
        try scene.settle([anna, bert, gone])
        try bert.replica.deleteCustomer(customers[4])
        // Refused and set aside.
        if let account = try scene.server.store.account(named: "anna") {
            try anna.replica.write { try $0.set(account, .accountName, "somebody else") }
        }
        try anna.sync()
        // A copy of the home goes on too: the log is continued under another replica.
        let copy = try anna.copy()
        _ = try anna.replica.addCustomer(name: "of the original")
        _ = try copy.replica.addCustomer(name: "of the copy")
        try copy.sync()
        try scene.settle([anna, bert, gone])
        // The server is set back: what only somebody who is gone had sent since is stock, for when it is asked for.
        let backup = try scene.backup
        _ = try gone.replica.addNote(to: customers[0], "gone's")
        _ = try gone.replica.addCustomer(name: "gone's customer")
        try gone.sync()
        try anna.sync()
        try scene.restoreServer(backup)
        try anna.sync()
        try scene.settle([anna, bert])
        // A row that a disk gave back otherwise was set aside, and came from the server again.
        try damageRow(of: customers[2], anna)
        _ = try anna.replica.examine()
        try compare(anna, scene.server)
        // Not sent yet.
        try anna.replica.setFields(of: customers[0], [FieldValue("stage", "pending"), FieldValue("description", "我的")])
        let pending = try anna.replica.addCustomer(name: "pending")
        _ = try anna.replica.addNote(to: pending, "pending note")
        _ = try anna.replica.editTags(of: [pending, customers[1]], [.add("vip"), .add("new tag")])
        try anna.replica.deleteNote(note)
        try anna.replica.write { try $0.add(1, to: customers[3], LaterVersion.visits) }
        try freeze(scene, anna)
    }

    private static func damageRow(of id: RecordID, _ machine: Machine) throws {
        let path = HomeDirectory.databasePath(Replica.home(machine.disk))
        try machine.close()
        let queue = try DatabaseQueue(path: path)
        try queue.write { database in
            try database.execute(
                sql: "UPDATE record SET cells = substr(cells, 1, length(cells) - 1) WHERE id = ?",
                arguments: [id.rawValue])
        }
        try queue.close()
        try machine.open()
    }

    static func compare(_ machine: Machine, _ server: ServerMachine) throws {
        let account = try server.store.account(named: try machine.replica.status().account) ?? RecordID(rawValue: 0)
        var run = try DigestRun(machine.replica)
        while case .send(let body) = try run.next() {
            try run.received(try server.store.digest(try DigestRequest(decoding: body), account: account).encoded())
        }
    }

    private static func freeze(_ scene: LineageScene, _ home: Machine) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try write("home.txt", lines: try home.replica.dumpLines)
        try write("home-facts.txt", lines: try facts(home.replica))
        try write("server.txt", lines: try scene.server.dump)
        try home.close()
        let server = try scene.serverImage()
        for (file, name, image) in [(homeFile, homeName, home.image), (serverFile, serverName, server)] {
            guard let bytes = image[name] else { throw CocoaError(.fileNoSuchFile) }
            try write(file, try Deflate.compress(bytes, level: 9))
        }
        // What both are when they have synced, and when what was lost has come back.
        let frozen = try FrozenScene()
        try frozen.sync()
        try write("synced.txt", lines: try frozen.server.dump)
        try frozen.recover()
        try write("recovered.txt", lines: try frozen.server.dump)
    }

    /// What a home says besides its records.
    static func facts(_ replica: Replica) throws -> [String] {
        let status = try replica.status()
        // What was refused is listed by itself below; the facts were written when it was not counted with the conflicts.
        let all = try replica.conflicts()
        let refused = all.count { $0.refused != nil }
        var lines = [
            "pending \(status.pending)", "conflicts \(status.conflicts - refused)", "replica \(status.replica)",
        ]
        for conflict in all where conflict.refused == nil {
            let others = conflict.others.map(\.value).joined(separator: " | ")
            lines.append("conflict \(conflict.record) \(conflict.field): \(conflict.shown.value) | \(others)")
        }
        for refused in try replica.refused() { lines.append("refused \(refused.record) \(refused.reason)") }
        for customer in try replica.customers() {
            lines.append("customer \(customer.id) \(customer.name)")
            for note in try replica.notes(of: customer.id) { lines.append("note \(note.id) \(note.body)") }
            for tag in try replica.customer(customer.id).tags { lines.append("tag \(tag.group)/\(tag.name)") }
        }
        for hit in try replica.search("小明") { lines.append("found \(hit.id)") }
        for place in try replica.logged().places {
            lines.append("operation \(place.position) \(place.dot) \(place.hash.rawValue)")
        }
        return lines
    }
}

/// The frozen server and the frozen home, running today's code.
final class FrozenScene {
    let world = SeededWorld(seed: 9, time: GoldenDatabases.time)
    private let serverDisk: SimulatedDisk
    private let homeDisk: SimulatedDisk
    let server: ServerMachine
    let replica: Replica

    init() throws {
        serverDisk = SimulatedDisk(
            try GoldenDatabases.image(GoldenDatabases.serverFile, as: GoldenDatabases.serverName))
        homeDisk = SimulatedDisk(try GoldenDatabases.image(GoldenDatabases.homeFile, as: GoldenDatabases.homeName))
        server = try ServerMachine(serverDisk, world)
        replica = try Replica(home: Replica.home(homeDisk), environment: world.client(homeDisk))
    }

    @discardableResult
    func sync() throws -> SyncReport { try replica.sync(server) }

    /// A person asks for what the server has lost.
    func recover() throws {
        _ = try server.store.beginRecovery()
        try sync()
        _ = try server.store.finishRecovery()
        try sync()
    }

    /// How many rows a table of the home has.
    func count(_ table: String) throws -> Int {
        try DatabaseQueue(path: HomeDirectory.databasePath(Replica.home(homeDisk))).read { database in
            try Int.fetchOne(database, sql: "SELECT count(*) FROM \(table)") ?? 0
        }
    }
}
