import ShoalClient
import ShoalServer
import ShoalSimulation
import ShoalStore

/// A client and a server of which one has a disk that fails, and what the other side and the operator were told.
final class FaultScene {
    /// Where both start: an enrolled replica, some work, one sync.
    struct Start: Sendable {
        var server: DiskImage
        var client: DiskImage

        init() throws {
            let world = SeededWorld(seed: 7)
            let server = try ServerMachine(SimulatedDisk(), world)
            let disk = SimulatedDisk()
            let (enrolment, key) = try server.enrolment("Anna")
            let replica = try Replica.create(
                home: Replica.home(disk), server: "http://test", key: key, enrolment: enrolment,
                environment: world.client(disk))
            for number in 0..<5 { _ = try replica.addCustomer(name: "start \(number)") }
            try replica.sync(server)
            try replica.close()
            try server.store.close()
            self.server = server.disk.snapshot()
            client = disk.snapshot()
        }
    }

    let world: SeededWorld
    let serverDisk: SimulatedDisk
    let clientDisk: SimulatedDisk
    private(set) var server: ServerMachine?
    private(set) var replica: Replica?
    /// Names that commands which returned have written.
    private(set) var written: [String] = []
    /// Names that a sync which returned has brought to the server.
    private(set) var acknowledged: [String] = []
    /// Names of commands that failed, each with whether its outcome may be either.
    private(set) var failed: [(names: [String], mayBeThere: Bool)] = []
    private(set) var complaints: [String] = []
    /// A call has failed in the process that runs now: it may refuse to go on, or must.
    var mayFail = false
    var mustStop = false
    private var number = 0
    /// Bytes of text in each customer.
    private let bytes: Int

    init(_ start: Start, seed: UInt64, bytes: Int = 0) {
        self.bytes = bytes
        world = SeededWorld(seed: seed)
        serverDisk = SimulatedDisk(start.server)
        clientDisk = SimulatedDisk(start.client)
    }

    func complain(_ complaint: String) { complaints.append(complaint) }

    // MARK: What programs do

    enum Act: CaseIterable {
        case openServer, openClient, write, sync, drain, checkpoint, account, closeClient, closeServer
    }

    static let script: [Act] = [
        .openServer, .openClient, .write, .write, .sync, .drain, .checkpoint, .write, .sync, .account, .closeClient,
        .openClient, .write, .closeServer, .openServer, .sync, .closeClient, .closeServer,
    ]

    /// Does one thing; an error is what the program would report.
    func act(_ act: Act) throws {
        switch act {
        case .openServer: server = try server ?? ServerMachine(serverDisk, world)
        case .openClient:
            replica = try replica ?? Replica(home: Replica.home(clientDisk), environment: world.client(clientDisk))
        case .write: try write()
        case .sync:
            guard let replica, let server else { return }
            let all = written
            try replica.sync(server)
            acknowledged = all
        case .drain: _ = try replica?.drainTextIndex()
        case .checkpoint: try server?.store.truncateLog()
        case .account:
            number += 1
            _ = try server?.accounts.add(name: "account \(number)", role: .supervisor)
        case .closeClient:
            let closing = replica
            replica = nil
            try closing?.close()
        case .closeServer:
            let closing = server
            server = nil
            try closing?.store.close()
        }
    }

    /// Three customers in one transaction.
    private func write() throws {
        guard let replica else { return }
        number += 1
        let names = (0..<3).map { "name \(number) \($0)" }
        do {
            let fields = bytes == 0 ? [] : [FieldValue("remark", String(repeating: "x", count: bytes))]
            try replica.write { commands in
                for name in names { _ = try commands.addCustomer(name: name, fields: fields) }
            }
            written += names
        } catch {
            // Of a commit whose sync failed nobody knows what the disk has.
            if case .inputOutput? = error as? StoreError {
                failed.append((names, true))
            } else {
                failed.append((names, false))
            }
            throw error
        }
    }

    // MARK: What must hold

    /// Ends all processes, on both machines, and forgets them.
    func crash(server: SimulatedDisk.Crash, client: SimulatedDisk.Crash) {
        serverDisk.crash(server)
        clientDisk.crash(client)
        self.server = nil
        replica = nil
    }

    /// Checks what is there after a restart, by what was promised.
    func audit() throws {
        complaints += try Audit.replica(clientDisk).complaints
        complaints += try Audit.server(serverDisk).complaints
        try act(.openServer)
        try act(.openClient)
        guard let server, let replica else { return }
        let names = try replica.customers().map(\.name)
        for name in written where names.count(where: { $0 == name }) != 1 { complain("lost on the client: \(name)") }
        for attempt in failed {
            let count = names.count { attempt.names.contains($0) }
            if count != 0, count != attempt.names.count { complain("half of a command is there: \(attempt.names)") }
            if count != 0, !attempt.mayBeThere { complain("a command that failed is there: \(attempt.names)") }
        }
        let dump = try server.dump.joined()
        for name in acknowledged where !dump.contains("\"\(name)\"") { complain("lost on the server: \(name)") }
    }

    /// Works on without faults until both are the same.
    func finish() throws {
        for act in [Act.openServer, .openClient, .write, .sync, .sync] { try self.act(act) }
        guard let server, let replica else { return }
        if try replica.dumpLines != server.dump { complain("client and server differ after a sync") }
        if try replica.status().pending != 0 { complain("something stays unsent") }
        try act(.closeClient)
        try act(.closeServer)
        try audit()
    }
}
