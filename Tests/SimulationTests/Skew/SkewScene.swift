import ShoalCRDT
import ShoalClient
import ShoalProtocol
import ShoalServer
import Testing

@testable import ShoalSimulation

import struct ShoalCRDT.Record

/// A faultless cluster, some of whose programs are one version ahead, and what these wrote.
final class SkewScene {
    let cluster: Cluster
    private(set) var customer = RecordID(rawValue: 1)
    private(set) var visit = RecordID(rawValue: 1)
    private(set) var campaign = RecordID(rawValue: 1)
    private(set) var note = RecordID(rawValue: 1)

    /// - Parameter ahead: how many machines are ahead, from the first on.
    init(machines: Int, ahead: Int, isServerAhead: Bool = false, lineage: Bool = false, seed: UInt64 = 1) throws {
        var settings = Settings.quiet(replicas: machines, lineage: lineage, seed: seed)
        settings.ahead = ahead
        settings.isServerAhead = isServerAhead
        cluster = try Cluster(settings)
        try cluster.settle()
    }

    subscript(_ number: Int) -> ClientMachine { cluster.machines[number] }

    /// One of everything that this version does not know.
    func work(on machine: ClientMachine) throws {
        customer = try cluster.perform(machine) {
            try $0.addCustomer(name: "later", fields: [FieldValue("stage", "1")])
        }
        note = try cluster.perform(machine) { try $0.addNote(to: customer, "body") }
        try cluster.perform(machine, on: customer) {
            try $0.write { try $0.write("9.99", LaterVersion.budget, of: customer) }
        }
        try cluster.perform(machine, on: customer) { try $0.write { try $0.prefer("rosé", "x-shade", of: customer) } }
        try cluster.perform(machine, on: customer) {
            try $0.write { try $0.setElement(customer, LaterVersion.interest, customer, isPresent: true) }
        }
        try cluster.perform(machine, on: customer) { try $0.write { try $0.add(3, to: customer, LaterVersion.visits) } }
        for text in ["a", "b"] {
            try cluster.perform(machine, on: customer) {
                try $0.write {
                    try $0.write(LaterVersion.run, json: #"{ "run":"\#(text)","é":1.50e3 }"#, .stage, of: customer)
                }
            }
            try cluster.perform(machine, on: note) {
                try $0.write { try $0.write(LaterVersion.run, json: #"["\#(text)"]"#, .body, of: note) }
            }
            try cluster.perform(machine, on: customer) {
                try $0.write { try $0.operate(json: #"{"do" : "\#(text)"}"#, on: customer) }
            }
        }
        visit = try cluster.perform(machine) {
            try $0.write { try $0.make(LaterVersion.visit, scope: .customer(customer), [(LaterVersion.budget, "7")]) }
        }
        campaign = try cluster.perform(machine) {
            try $0.write { try $0.make(LaterVersion.campaign, scope: .workspace, [(LaterVersion.budget, "8")]) }
        }
        try cluster.perform(machine, on: visit) {
            try $0.write { try $0.write(LaterVersion.rights, json: "[1, 2]", LaterVersion.script, of: visit) }
        }
    }

    /// What the program ahead wrote, as a machine has it: cells, dots, times, and every byte.
    func later(_ machine: ClientMachine) throws -> [String] {
        try [customer, note, visit, campaign].flatMap { Self.later(try machine.opened().effectiveRecord($0)) }
    }

    func laterAtServer() throws -> [String] {
        var lines: [RecordID: [String]] = [:]
        try cluster.server.opened().forEachRecord { lines[$0.id] = Self.later($0) }
        return [customer, note, visit, campaign].flatMap { lines[$0] ?? [] }
    }

    /// The entries of a record that this version does not know; of a kind that it does not know all.
    static func later(_ record: Record) -> [String] {
        let isLater = !Schema.kindNames.contains { $0.0 == record.envelope.kind }
        var lines: [String] = []
        for entry in record.entries {
            let isKnown = Schema.field(entry.key.field) != nil || entry.key.field == .created
            if isKnown, !isLater, !entry.kind.isForeign { continue }
            let value = entry.kind.isSlice ? record.text(entry.slice) : "\(entry.integer)"
            lines.append(
                "\(record.id) \(record.envelope) \(CellName(record.id, entry.key, record.text).element) "
                    + "\(entry.key.field.rawValue) \(entry.kind.rawValue) \(value) \(entry.dot.text) \(entry.time) "
                    + "\(entry.isCovered)")
        }
        return lines
    }

    /// Compares a machine's rows with the server's, and takes over what differs.
    func compare(_ machine: ClientMachine) throws -> DigestReport {
        var run = try DigestRun(try machine.opened())
        while true {
            switch try run.next() {
            case .send(let body):
                let request = try DigestRequest(decoding: try machine.spoken(body))
                let answer = try cluster.server.opened().digest(request, account: machine.account.id).encoded()
                try run.received(cluster.settings.isServerAhead ? try LaterVersion.spoken(answer) : answer)
            case .behind: throw SimulationError("the machine is behind")
            case .finished: return run.report
            }
        }
    }

    /// Everybody syncs; then all hold the same, and all that the operators did.
    func settle(_ location: SourceLocation = #_sourceLocation) throws {
        try cluster.settle()
        #expect(try cluster.verify().sentences == [], sourceLocation: location)
    }
}
