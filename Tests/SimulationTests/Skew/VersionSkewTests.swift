import ShoalCRDT
import ShoalClient
import ShoalProtocol
import ShoalServer
import Testing

@testable import ShoalSimulation

/// Programs of two versions work together: nothing that the newer ones wrote is lost, refused or stamped anew (SPEC.md §9).
@Suite struct VersionSkewTests {
    /// What `SkewScene.work` leaves.
    private static let entries = 15

    @Test(arguments: [false, true])
    func whatANewerProgramWroteReachesNewerOnesThroughOlderOnes(isServerAhead: Bool) throws {
        let scene = try SkewScene(machines: 3, ahead: 2, isServerAhead: isServerAhead)
        try scene.work(on: scene[0])
        let written = try scene.later(scene[0])
        #expect(written.count == Self.entries)
        try scene.settle()
        #expect(try scene.laterAtServer() == written)
        for machine in scene.cluster.machines { #expect(try scene.later(machine) == written) }
        let dump = String(decoding: try scene.cluster.dump(scene[2]), as: UTF8.self)
        #expect(dump.contains(#""kind":"kind-300""#) && dump.contains(#""field":"field-4100""#))
        #expect(dump.contains(#"{"value":{ "run":"a","é":1.50e3 },"type":7,"at":"#))
    }

    /// An older program edits the cells beside them, and even the cells that hold them.
    @Test(arguments: [false, true])
    func whatAnOlderProgramEditsLeavesTheRestUntouched(isServerAhead: Bool) throws {
        let scene = try SkewScene(machines: 3, ahead: 1, isServerAhead: isServerAhead)
        try scene.work(on: scene[0])
        let written = try scene.later(scene[0])
        try scene.settle()
        let old = scene[1]
        let (cluster, customer, note) = (scene.cluster, scene.customer, scene.note)
        // It shows what it knows, and no conflict.
        #expect(try old.opened().customer(customer).fields.contains(FieldValue("stage", "1")))
        #expect(try old.opened().notes(of: customer).map(\.body) == ["body"])
        #expect(try old.opened().conflicts() == [])
        try cluster.perform(old, on: customer) {
            try $0.setFields(of: customer, [FieldValue("stage", "2"), FieldValue("name", "older")])
        }
        try cluster.perform(old, on: customer) { try $0.editTags(of: [customer], [.add("t")]) }
        try cluster.perform(old, on: note) { try $0.editNote(note, "older body") }
        try cluster.perform(old, on: customer) {
            try $0.setFields(of: customer, [FieldValue("phone", "1"), FieldValue("stage", "")])
        }
        try cluster.perform(old, on: customer) { try $0.setFields(of: customer, [FieldValue("stage", "3")]) }
        #expect(try old.opened().customer(customer).fields.contains(FieldValue("stage", "3")))
        try scene.settle()
        for machine in cluster.machines {
            #expect(try scene.later(machine) == written)
            let shown = try machine.opened().customer(customer)
            #expect(
                shown.fields.contains(FieldValue("stage", "3")) && shown.fields.contains(FieldValue("name", "older")))
            #expect(shown.tags.map(\.name) == ["t"] && shown.conflicts.isEmpty)
            #expect(try machine.opened().notes(of: customer).map(\.body) == ["older body"])
        }
        // The newer program takes the place of what it knows.
        let seen = try scene[0].opened().effectiveRecord(customer)
        let runs = seen.entries.filter { $0.key.field == .stage && $0.kind.isForeign }.map(\.dot)
        try scene[0].opened().write {
            try $0.write(LaterVersion.run, json: #"["ab"]"#, .stage, of: customer, supersedes: runs)
        }
        try cluster.settle()
        for machine in cluster.machines {
            let lines = try scene.later(machine)
            #expect(lines.count == written.count - 1 && lines.contains { $0.contains(#" 7 ["ab"] "#) })
        }
    }

    /// A record that an older program deletes takes what it does not know with it, and brings it back when somebody edits it.
    @Test func whatAnOlderProgramDeletesComesBackWholeWithAnEdit() throws {
        let scene = try SkewScene(machines: 3, ahead: 1)
        try scene.work(on: scene[0])
        try scene.settle()
        let (cluster, customer) = (scene.cluster, scene.customer)
        let written = try scene.later(scene[0])
        // Of the visit, whose kind it does not know, an older program deletes nothing.
        let visit = try SkewScene.later(scene[1].opened().effectiveRecord(scene.visit))
        try cluster.perform(scene[0], on: customer) {
            try $0.write { try $0.write("10", LaterVersion.budget, of: customer) }
        }
        try cluster.perform(scene[1], on: customer, scene.note) { try $0.deleteCustomer(customer) }
        try scene.settle()
        for machine in cluster.machines {
            #expect(try SkewScene.later(machine.opened().effectiveRecord(scene.visit)) == visit)
            let lines = try scene.later(machine)
            #expect(
                lines.count == written.count && lines.contains { $0.contains(" 4100 2 10 ") && $0.hasSuffix("false") })
        }
        #expect(try scene[1].opened().effectiveRecord(customer).isPresent)
    }

    @Test func anOlderHomeThatIsExaminedRebuiltAndOpenedAgainKeepsThem() throws {
        let scene = try SkewScene(machines: 2, ahead: 1)
        try scene.work(on: scene[0])
        try scene.settle()
        let (old, written) = (scene[1], try scene.later(scene[0]))
        let dump = try scene.cluster.dump(old)
        #expect(try old.opened().examine() == [])
        #expect(try old.opened().examine(rebuilds: true) == [])
        try scene.cluster.restart(old, after: .power(seed: 3))
        try old.opened().rebuildProjections()
        #expect(try scene.cluster.dump(old) == dump)
        #expect(try scene.later(old) == written)
        #expect(try scene.cluster.server.opened().check().isSound)
        // A new fill brings them whole.
        try old.opened().fetchAnew()
        try scene.settle()
        #expect(try scene.cluster.dump(old) == dump)
    }

    @Test(arguments: [false, true])
    func aComparisonSeesThemAndARepairBringsThemBack(isServerAhead: Bool) throws {
        let scene = try SkewScene(machines: 2, ahead: 1, isServerAhead: isServerAhead)
        try scene.work(on: scene[0])
        try scene.settle()
        let (old, written) = (scene[1], try scene.later(scene[0]))
        #expect(try scene.compare(old).repair.replaced.isEmpty)
        #expect(try scene.compare(scene[0]).repair.replaced.isEmpty)
        let missing = [scene.customer, scene.visit, scene.campaign]
        try old.opened().forget(missing)
        #expect(try scene.later(old) != written)
        #expect(try Set(scene.compare(old).repair.replaced) == Set(missing))
        #expect(try scene.later(old) == written)
        try scene.settle()
    }

    /// The author is gone and the server has lost it: an older program relays what it does not know, through an older server.
    @Test(arguments: [false, true])
    func anOlderProgramRelaysThem(isServerAhead: Bool) throws {
        let scene = try SkewScene(machines: 3, ahead: 1, isServerAhead: isServerAhead, lineage: true)
        let cluster = scene.cluster
        try cluster.server.opened().truncateLog()
        let image = cluster.server.disk.snapshot()
        try scene.work(on: scene[0])
        let written = try scene.later(scene[0])
        try cluster.sync(scene[0])
        try cluster.sync(scene[1])
        #expect(try scene.later(scene[1]) == written)
        try cluster.discard(scene[0])
        try cluster.restoreServer(to: image)
        let old = try #require(cluster.machines.first)
        try cluster.sync(old)
        #expect(try scene.laterAtServer() == [])
        _ = try cluster.server.opened().beginRecovery()
        #expect(try cluster.sync(old).relayed > 0)
        #expect(try scene.laterAtServer() == written)
        try cluster.settle()
        for machine in cluster.machines { #expect(try scene.later(machine) == written) }
    }

    /// Two copies of a newer home fork: what they had in common stays one, and what is renumbered keeps its bytes.
    @Test func copiesOfANewerHomeKeepThem() throws {
        let scene = try SkewScene(machines: 3, ahead: 1, lineage: true)
        let cluster = scene.cluster
        try scene.work(on: scene[0])
        let copy = try cluster.copy(of: scene[0])
        let written = try scene.later(scene[0])
        for (machine, text) in [(scene[0], "original"), (copy, "copy")] {
            // What is written last names the operation before, which gets another place in one of the logs.
            var before: [Dot] = []
            for part in ["draft of the \(text)", text] {
                try machine.opened().write {
                    try $0.write(
                        LaterVersion.run, json: #""\#(part)""#, LaterVersion.script, of: scene.visit, supersedes: before
                    )
                }
                before = try machine.opened().logged().places.suffix(1).map(\.dot)
            }
        }
        try cluster.settle()
        for machine in cluster.machines {
            let lines = try scene.later(machine)
            #expect(Set(lines).isSuperset(of: written) && lines.count == written.count + 2)
            for text in ["original", "copy"] { #expect(lines.contains { $0.contains(#" 7 "\#(text)" "#) }) }
        }
    }

    /// Whether others name records of a kind that it does not know for good, an older server cannot tell.
    @Test func anOlderServerDoesNotCollectKindsThatItDoesNotKnow() throws {
        let scene = try SkewScene(machines: 2, ahead: 1)
        let cluster = scene.cluster
        try scene.work(on: scene[0])
        let plain = try cluster.perform(scene[1]) { try $0.addCustomer(name: "plain") }
        try scene.settle()
        for id in [scene.visit, scene.campaign] {
            try cluster.perform(scene[0], on: id) { try $0.write { try $0.edit(id) { $0.cover($1.uncoveredDots()) } } }
        }
        try cluster.perform(scene[1], on: scene.customer, scene.note) { try $0.deleteCustomer(scene.customer) }
        try cluster.perform(scene[1], on: plain) { try $0.deleteCustomer(plain) }
        try cluster.settle()
        let written = try scene.later(scene[0])
        for _ in 0..<3 {
            _ = try cluster.server.opened().collectAll(time: cluster.server.clock.now)
            try cluster.settle()
        }
        let ids = [scene.customer, scene.visit, scene.campaign]
        let kept = written.filter { line in ids.contains { line.hasPrefix($0.description) } }
        #expect(Set(try scene.laterAtServer()).isSuperset(of: kept))
        #expect(try scene[0].opened().effectiveRecord(plain).entries.isEmpty)
    }

    /// What the server refuses for a reason that the client does not know is set aside like anything else.
    @Test func aReasonOfALaterServerIsKeptByItsName() throws {
        let scene = try SkewScene(machines: 1, ahead: 0, isServerAhead: true)
        let machine = scene[0]
        try machine.opened().write { try $0.set(machine.account.id, .accountName, "somebody else") }
        let report = try scene.cluster.sync(machine)
        #expect(report.refused.map(\.reason) == [LaterVersion.reason])
        #expect(try machine.opened().refused().map(\.reason) == [LaterVersion.reason])
        #expect(try machine.opened().refused().flatMap(\.values).map(\.value) == ["somebody else"])
        #expect(try scene.cluster.sync(machine).refused.isEmpty)
        let known = RefusalReason.allCases.map(\.rawValue)
        #expect(known.allSatisfy { RefusalReason(rawValue: $0)?.rawValue == $0 } && Set(known).count == known.count)
        for text in ["", "Not a name", String(repeating: "a", count: 65), "é"] {
            #expect(RefusalReason(rawValue: text) == nil)
        }
    }

    // MARK: What needs a later version

    private func needing(_ body: [UInt8]) throws -> [UInt8] {
        let json = try Deflate.expand(body, limit: Limits.inflated, dictionary: FrameDictionary.bytes)
        // The rest is in a form that nobody knows.
        return try Deflate.compress(
            Array(#"{"needs":\#(LaterVersion.number),"logs":{},"push":[],"#.utf8) + json.dropFirst())
    }

    @Test func anOlderServerRefusesWhatItWouldMisreadAndTakesNothing() throws {
        let scene = try SkewScene(machines: 1, ahead: 1)
        let machine = scene[0]
        try scene.work(on: machine)
        let pending = try machine.opened().status().pending
        let before = try scene.cluster.serverDump()
        var run = SyncRun(try machine.opened())
        guard case .send(let body) = try run.next() else { return }
        do {
            _ = try scene.cluster.server.handle(try needing(body), account: machine.account.id)
            Issue.record("the server took it")
        } catch ShoalSimulation.ServerMachine.Silence.refused(let reason) {
            #expect(
                reason.contains("version \(LaterVersion.number)")
                    && reason.contains("version \(ProtocolVersion.current)"), "\(reason)")
        }
        #expect(try scene.cluster.serverDump() == before)
        #expect(try machine.opened().status().pending == pending)
        // The same work, said so that the server can read it.
        try scene.settle()
    }

    @Test func anOlderClientStopsAtWhatItWouldMisreadAndLosesNothing() throws {
        let scene = try SkewScene(machines: 2, ahead: 1)
        try scene.work(on: scene[0])
        try scene.cluster.sync(scene[0])
        let old = scene[1]
        _ = try scene.cluster.perform(old) { try $0.addCustomer(name: "unsent") }
        let dump = try scene.cluster.dump(old)
        let cursor = try old.opened().status().cursor
        var run = SyncRun(try old.opened())
        guard case .send(let body) = try run.next() else { return }
        let answer = try scene.cluster.server.answer(body, to: old)
        #expect {
            try run.received(try needing(answer))
        } throws: { error in
            guard case SyncError.otherProtocol(let detail) = error else { return false }
            return detail.contains("version \(LaterVersion.number)")
                && detail.contains("version \(ProtocolVersion.current)")
        }
        let status = try old.opened().status()
        #expect(status.pending == 1 && status.cursor == cursor)
        #expect(try scene.cluster.dump(old) == dump)
        try scene.settle()
    }

    @Test func enrolmentIsTheSameForBoth() throws {
        let request = EnrollRequest(code: "K7QF-29TM-0V4C", key: "key")
        #expect(try EnrollRequest(decoding: LaterVersion.spoken(request.encoded())) == request)
        let answer = EnrollResponse(
            replica: ReplicaID(rawValue: 9), account: RecordID(rawValue: 3), name: "小美", role: .sales, epoch: 4, time: 5
        )
        #expect(try EnrollResponse(decoding: LaterVersion.spoken(answer.encoded())) == answer)
    }

    /// Seeds with all their faults, in which some machines, the server, or all are ahead.
    @Test(arguments: 0..<8 as Range<UInt64>)
    func mixedClustersLoseNothing(part: UInt64) {
        for seed in 1...12 as ClosedRange<UInt64> {
            var settings = Settings(seed: 500 + part * 12 + seed)
            settings.ahead = 1 + Int(seed) % settings.replicas
            settings.isServerAhead = seed % 3 == 0
            let findings = Simulation.findings(settings).findings
            #expect(findings.isClean, "\(settings)\n\(findings.sentences.prefix(5).joined(separator: "\n"))")
        }
    }
}
