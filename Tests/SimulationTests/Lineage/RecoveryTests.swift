import ShoalCRDT
import ShoalClient
import ShoalProtocol
import ShoalServer
import ShoalSimulation
import Testing

import class Foundation.ProcessInfo

/// Servers that lost something which its author will not send again: what other replicas hold comes back when a person
/// asks for it.
struct RecoveryTests {
    private static let seeds = 1...(ProcessInfo.processInfo.environment["SHOAL_NIGHTLY"] == nil ? 60 : 2_000)

    /// What is present but the accounts, which name new replicas after each loss.
    private func kept(_ scene: LineageScene) throws -> [String] {
        try scene.server.dump.filter { !$0.contains(#""kind":"account""#) }
    }

    @Test func whatAMachineThatIsGoneHadWrittenComesBackFromOthers() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let gone = try scene.machine("gone")
        let backup = try scene.backup
        let id = try gone.replica.addCustomer(name: "gone's", fields: [FieldValue("stage", "1")])
        _ = try gone.replica.addNote(to: id, "note")
        try gone.sync()
        try anna.sync()
        try anna.replica.setFields(of: id, [FieldValue("stage", "2")])
        try anna.sync()
        let dump = try kept(scene)
        try scene.restoreServer(backup)
        try scene.settle([anna])
        // Nobody asked yet, and the record itself is not there.
        #expect(try anna.names() == [])
        _ = try scene.server.store.beginRecovery()
        #expect(try anna.sync()?.relayed ?? 0 >= 2)
        #expect(try kept(scene) == dump)
        try scene.settle([anna])
        let bert = try scene.machine("bert")
        try scene.settle([anna, bert])
        #expect(try bert.names() == ["gone's"])
        #expect(try anna.sync()?.relayed == 0)
    }

    /// Two copies worked, one of them was renumbered, the server is set back, and others are asked. What one of them says of where
    /// its work stood is not said of the other's.
    @Test(arguments: [[1, 0, 1], [0, 1, 0], [1, 2, 0], [2, 1, 0], [0, 2, 1], [2, 0, 1]], [true, false])
    func copiesOfAHomeKeepTheWorkOfEach(order: [Int], inOneRecord: Bool) throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let bert = try scene.machine("bert")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        let backup = try scene.backup
        let copy = try anna.copy()
        if inOneRecord {
            try copy.replica.setFields(of: id, [FieldValue("x-副", "副本")])
            try anna.replica.setFields(of: id, [FieldValue("x-本", "本人")])
        } else {
            _ = try copy.replica.addNote(to: id, "副本")
            _ = try anna.replica.addNote(to: id, "本人")
        }
        for machine in [anna, copy, anna, bert] { try machine.sync() }
        try scene.restoreServer(backup)
        _ = try scene.server.store.beginRecovery()
        let machines = [anna, copy, bert]
        for index in order { try machines[index].sync() }
        try scene.settle(machines)
        if inOneRecord {
            let fields = try bert.replica.customer(id).fields
            #expect(fields.contains(FieldValue("x-副", "副本")) && fields.contains(FieldValue("x-本", "本人")), "\(fields)")
        } else {
            #expect(try bert.replica.notes(of: id).map(\.body).sorted() == ["副本", "本人"].sorted())
        }
        #expect(try bert.replica.conflicts().isEmpty)
    }

    /// Two servers in turn took the work of a home and of its copy at the same places, and both were set back. A relay of what the
    /// second had says nothing of what the first took.
    @Test(arguments: [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]], [true, false])
    func aRelayOfWhatAnotherServerTookOfACopy(order: [Int], inOneCell: Bool) throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let bert = try scene.machine("bert")
        let id = try anna.replica.addCustomer(name: "c")
        for machine in [anna, bert] { try machine.sync() }
        let backup = try scene.backup
        let copy = try anna.copy()
        try anna.replica.setFields(of: id, [FieldValue("x-本", "本人")])
        try copy.replica.setFields(of: id, [FieldValue(inOneCell ? "x-本" : "x-副", "副本")])
        _ = try copy.replica.addNote(to: id, "副本")
        try anna.sync()
        try scene.restoreServer(backup)
        for machine in [copy, bert] { try machine.sync() }
        try scene.restoreServer(backup)
        _ = try scene.server.store.beginRecovery()
        let machines = [anna, bert, copy]
        for index in order { try machines[index].sync() }
        try scene.settle(machines)
        let conflicts = try bert.replica.conflicts(of: id).flatMap { [$0.shown.value] + $0.others.map(\.value) }
        let values = try bert.replica.customer(id).fields.map(\.value) + conflicts
        #expect(Set(values).isSuperset(of: ["本人", "副本"]), "\(values)")
        #expect(try bert.replica.notes(of: id).map(\.body) == ["副本"])
    }

    /// One holds what two who are gone had overwritten; another's row equals what the server has, which says nothing of
    /// what lies between.
    @Test(arguments: [true, false])
    func whatWasOverwrittenDoesNotReturn(staleFirst: Bool) throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let stale = try scene.machine("stale")
        let gone = try scene.machine("gone")
        let id = try anna.replica.addCustomer(name: "c")
        try anna.sync()
        try gone.sync()
        let backup = try scene.backup
        try gone.replica.setFields(of: id, [FieldValue("stage", "1")])
        try gone.sync()
        try stale.sync()
        try gone.replica.setFields(of: id, [FieldValue("stage", "2")])
        try gone.sync()
        try anna.sync()
        try anna.replica.setFields(of: id, [FieldValue("stage", "3")])
        try anna.sync()
        let dump = try kept(scene)
        try scene.restoreServer(backup)
        try scene.settle([anna, stale])
        #expect(try kept(scene) == dump)
        _ = try scene.server.store.beginRecovery()
        for machine in staleFirst ? [stale, anna] : [anna, stale] { try machine.sync() }
        #expect(try kept(scene) == dump)
        try scene.settle([anna, stale])
        #expect(try anna.replica.conflicts().isEmpty)
    }

    @Test func aRelayWhoseAnswerIsLostIsSentAgain() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let gone = try scene.machine("gone")
        let backup = try scene.backup
        _ = try gone.replica.addCustomer(name: "gone's")
        try gone.sync()
        try anna.sync()
        let dump = try kept(scene)
        try scene.restoreServer(backup)
        try anna.sync()
        _ = try scene.server.store.beginRecovery()
        for lost in 1...4 { try anna.sync(loses: { $0 == lost }) }
        try scene.settle([anna])
        #expect(try kept(scene) == dump)
    }

    @Test func aRelayThatDoesNotArriveIsSentAgain() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let gone = try scene.machine("gone")
        let backup = try scene.backup
        _ = try gone.replica.addCustomer(name: "gone's")
        try gone.sync()
        try anna.sync()
        let dump = try kept(scene)
        try scene.restoreServer(backup)
        try anna.sync()
        _ = try scene.server.store.beginRecovery()
        let account = try #require(try scene.server.store.account(named: "anna"))
        var run = SyncRun(anna.replica)
        while case .send(let body) = try run.next() {
            try run.received(try scene.server.handler.handleAlone(body, account: account))
        }
        guard case .relay = try run.next() else {
            Issue.record("nothing is relayed")
            return
        }
        try anna.close()
        try anna.open()
        try scene.settle([anna])
        #expect(try kept(scene) == dump)
    }

    /// Rows are relayed in parts that fit a body; one that fits none stays where it is and keeps nobody waiting.
    @Test func whatCannotBeCompressedGoesInPartsAndWhatFitsNoBodyStays() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let gone = try scene.machine("gone")
        let backup = try scene.backup
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        func noise() -> String {
            String(decoding: (0..<60_000).map { _ in letters[Int(scene.world.random() & 63)] }, as: UTF8.self)
        }
        // Four of 360 kB, then one of 1.5 MB; a body has 1 MiB.
        for (index, count) in [6, 6, 6, 6, 26].enumerated() {
            let id = try gone.replica.addCustomer(name: "c\(index)")
            for field in 0..<count { try gone.replica.setFields(of: id, [FieldValue("x-\(field)", noise())]) }
        }
        try gone.sync()
        try anna.sync()
        try scene.restoreServer(backup)
        _ = try scene.server.store.beginRecovery()
        try anna.sync()
        #expect(try anna.names() == ["c0", "c1", "c2", "c3"])
        #expect(try anna.sync()?.relayed == 0)
    }

    /// The server loses again what it got back, before everybody had come.
    @Test func aServerThatIsSetBackAgainWhileItRecovers() throws {
        let scene = try LineageScene()
        let anna = try scene.machine("anna")
        let bert = try scene.machine("bert")
        let gone = try scene.machine("gone")
        let backup = try scene.backup
        let id = try gone.replica.addCustomer(name: "gone's")
        try gone.sync()
        try anna.sync()
        try gone.replica.setFields(of: id, [FieldValue("stage", "1")])
        try gone.sync()
        try bert.sync()
        let dump = try kept(scene)
        try scene.restoreServer(backup)
        _ = try scene.server.store.beginRecovery()
        try anna.sync()
        try scene.restoreServer(backup)
        try bert.sync()
        try anna.sync()
        _ = try scene.server.store.beginRecovery()
        try scene.settle([anna, bert])
        #expect(try kept(scene) == dump)
    }

    /// Some machines are gone, the others are at different states, the server was set back to any earlier one, once or
    /// twice; as long as one was whole everything comes back, and nothing else.
    @Test(arguments: seeds)
    func everythingThatSurvivorsHoldComesBackInAnyOrder(seed: Int) throws {
        let scene = try LineageScene(seed: UInt64(seed))
        func below(_ bound: Int) -> Int { Int(scene.world.random() % UInt64(bound)) }
        var machines = try (0..<3 + below(3)).map { try scene.machine("m\($0)") }
        // A fill leaves deleted records out, so that whoever filled after a deletion cannot tell of it (Client/DESIGN.md,
        // limits): all have filled before anything is deleted.
        for machine in machines { try machine.sync() }
        var backups = [try scene.backup]
        for _ in 0..<20 + below(40) {
            let machine = machines[below(machines.count)]
            if below(2) == 0 { try machine.sync() } else { try work(machine, below) }
            if below(8) == 0 { backups.append(try scene.backup) }
        }
        // Everybody's work is there, and the first has seen it; the others as far as they came.
        for machine in machines.shuffled(below) { try machine.sync() }
        try machines[0].sync()
        let dump = try kept(scene)
        let gone = 1 + below(machines.count - 1)
        machines.removeSubrange(gone...)
        for _ in 0...below(2) {
            try scene.restoreServer(backups[below(backups.count)])
            for machine in machines.shuffled(below) where below(2) == 0 {
                let lost = 1 + below(6)
                try machine.sync(loses: { $0 == lost })
            }
        }
        _ = try scene.server.store.beginRecovery()
        for _ in 0..<3 {
            for machine in machines.shuffled(below) { try machine.sync() }
        }
        let now = try kept(scene)
        #expect(
            now == dump,
            "too much: \(now.filter { !dump.contains($0) })\ntoo little: \(dump.filter { !now.contains($0) })")
        try scene.settle(machines)
        #expect(try kept(scene) == dump)
    }

    private func work(_ machine: Machine, _ below: (Int) -> Int) throws {
        let customers = try machine.replica.customers().map(\.id)
        guard let id = customers.isEmpty ? nil : customers[below(customers.count)], below(4) > 0 else {
            _ = try machine.replica.addCustomer(name: "c\(below(1_000))")
            return
        }
        switch below(8) {
        case 0: try machine.replica.deleteCustomer(id)
        case 1: _ = try machine.replica.addNote(to: id, "note \(below(1_000))")
        case 2: try machine.replica.editTags(of: [id], [.add("t\(below(3))")])
        case 3:
            guard let tag = try machine.replica.customer(id).tags.first else { return }
            try machine.replica.editTags(of: [id], [.remove(tag.name)])
        case 4: try machine.replica.setFields(of: id, [FieldValue("source", "")])
        default: try machine.replica.setFields(of: id, [FieldValue(["stage", "source"][below(2)], "\(below(1_000))")])
        }
    }
}

extension [Machine] {
    fileprivate func shuffled(_ below: (Int) -> Int) -> [Machine] {
        var copy = self
        for place in copy.indices.reversed() { copy.swapAt(place, below(place + 1)) }
        return copy
    }
}
