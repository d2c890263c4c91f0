import Foundation
import ShoalClient
import ShoalCRDT

/// What one account of the demo does on its replica, through the client library.
final class Operator {
    private let home: String
    private let tell: @Sendable (OperatorEvent) -> Void
    private let transport: CuttingTransport
    private var replica: Replica?
    /// The names of the workload: tags as GROUP/NAME, accounts, and the customers made here.
    private var tags: [String: String] = [:]
    private var accounts: [String: String] = [:]
    private var made: [String: RecordID] = [:]

    /// Search scans what is not indexed yet; indexing is for the first quiet minute.
    private static let options = Replica.Options(textQueueBound: nil)
    /// Customers a transaction while loading.
    private static let batch = 200

    init(home: String, seed: UInt64, tell: @escaping @Sendable (OperatorEvent) -> Void) throws {
        self.home = home
        self.tell = tell
        transport = CuttingTransport(try HTTPTransport(), seed: seed)
    }

    func carryOut(_ order: OperatorOrder) async throws -> OperatorOutcome {
        var outcome = OperatorOutcome()
        switch order {
        case .enroll(let server, let code):
            transport.connect(Cuts.none)
            replica = try await Replica.enroll(
                home: home, url: server, code: code, transport: transport, environment: .machine, options: Self.options)
        case .makeTags(let part): try makeTags(part)
        case .load(let part):
            try load(part)
            outcome.made = made.mapValues(\.description)
        case .day(let path, let customers):
            transport.connect(nil)
            try work(path, customers)
        case .sync(let cuts):
            transport.connect(cuts)
            try await sync(&outcome)
        case .close:
            try rest()
            return outcome
        }
        let status = try open().status()
        outcome.pending = status.pending
        outcome.conflicts = status.conflicts
        outcome.traffic = transport.takeTraffic()
        outcome.memory = Measure.memory("VmHWM")
        // Many of these processes share one machine: between syncs they keep no cache and no write-ahead log.
        if case .sync = order { try rest() }
        return outcome
    }

    private func open() throws -> Replica {
        if let replica { return replica }
        let opened = try Replica(home: home, environment: .machine, options: Self.options)
        replica = opened
        return opened
    }

    private func rest() throws {
        try replica?.close()
        replica = nil
    }

    // MARK: Base

    private func makeTags(_ part: String) throws {
        let lines = try Workload.read(part)
        try open().write { commands in
            for line in lines where line.kind == .tagdef {
                commands.time = line.time
                _ = try commands.addTag("\(line.group)/\(line.value)")
            }
        }
    }

    private func load(_ part: String) throws {
        let lines = try Workload.read(part)
        var starts: [Int] = []
        for (index, line) in lines.enumerated() {
            switch line.kind {
            case .account: accounts[line.account] = line.value
            case .tagdef: tags[line.tag] = "\(line.group)/\(line.value)"
            case .customer: starts.append(index)
            default: break
            }
        }
        let replica = try open()
        var next = 0
        while next < starts.count {
            let end = min(next + Self.batch, starts.count)
            try replica.write { commands in
                for number in next..<end {
                    let last = number + 1 < starts.count ? starts[number + 1] : lines.count
                    try add(lines[starts[number]..<last], commands)
                }
            }
            tell(.progress(end - next))
            next = end
        }
    }

    /// Adds a customer: its line, then those of its followers, tags and notes.
    private func add(_ lines: ArraySlice<Workload.Line>, _ commands: Commands) throws {
        guard let line = lines.first else { return }
        commands.time = line.time
        let id = try commands.addCustomer(
            name: line.name,
            fields: [
                FieldValue("source", line.source), FieldValue("birth_month", line.birthMonth),
                FieldValue("skin", line.skin), FieldValue("unionid", line.unionID), FieldValue("remark", line.remark),
            ])
        made[line.customer] = id
        let added = try lines.filter { $0.kind == .addtag }.map { TagChange.add(try tag($0.tag)) }
        if !added.isEmpty { _ = try commands.editTags(of: [id], added) }
        for part in lines.dropFirst() {
            commands.time = part.time
            switch part.kind {
            case .follow:
                guard let name = accounts[part.account] else { throw BenchError("unknown account \(part.account)") }
                try commands.follow(id, account: name)
            case .note: _ = try commands.addNote(to: id, part.value)
            default: break
            }
        }
    }

    private func tag(_ name: String) throws -> String {
        guard let tag = tags[name] else { throw BenchError("unknown tag \(name)") }
        return tag
    }

    // MARK: The offline day

    /// Does a day's operations, each a durable transaction of its own.
    private func work(_ path: String, _ foreign: [String: String]) throws {
        let lines = try Workload.read(path)
        for (name, text) in foreign { made[name] = RecordID(text: text) }
        let replica = try open()
        var told = 0
        for (number, line) in lines.enumerated() {
            guard let id = made[line.customer] else { throw BenchError("unknown customer \(line.customer)") }
            try replica.write { commands in
                commands.time = line.time
                switch line.kind {
                case .addtag: _ = try commands.editTags(of: [id], [.add(try tag(line.tag))])
                case .rmtag: _ = try commands.editTags(of: [id], [.remove(try tag(line.tag))])
                case .set: try commands.setFields(of: id, [FieldValue(line.field, line.value)])
                case .note: _ = try commands.addNote(to: id, line.value)
                default: throw BenchError("the day has an operation out of place")
                }
            }
            if (number + 1) % 25 == 0 || number + 1 == lines.count {
                tell(.progress(number + 1 - told))
                told = number + 1
            }
        }
    }

    // MARK: Network

    private func sync(_ outcome: inout OperatorOutcome) async throws {
        let replica = try open()
        let retry = RetryPolicy(attempts: 2, first: .milliseconds(20), longest: .milliseconds(100))
        let driver = SyncDriver(replica: replica, transport: transport, retry: retry)
        let pending = try replica.status().pending
        do {
            let tell = tell
            let report = try await driver.sync { _ in tell(.progress(0)) }
            outcome.pushed = report.pushed
            outcome.pulled = report.pulled
            outcome.refused = report.refused.count
        } catch let error as SyncError where error.helpsToRetry {
            outcome.isComplete = false
            outcome.pushed = pending - (try replica.status().pending)
        }
        outcome.example = try example()
    }

    /// A conflict about a customer's field, in words.
    private func example() throws -> ConflictExample? {
        let replica = try open()
        guard try replica.status().conflicts > 0 else { return nil }
        let all = try replica.conflicts().filter { $0.kind == "customer" && !$0.field.contains("@") }
        guard let first = all.first(where: { $0.others.count > 1 }) ?? all.first else { return nil }
        let customer = try replica.customer(first.record)
        func value(_ value: Conflict.Value) -> ConflictExample.Value { .init(value: value.value, by: value.by) }
        return ConflictExample(
            id: first.record.description, name: customer.fields.first { $0.name == "name" }?.value ?? "",
            field: first.field, shown: value(first.shown), others: first.others.map(value))
    }
}
