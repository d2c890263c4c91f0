import ShoalClient
import ShoalCRDT
import ShoalProtocol
import ShoalServer

/// A server and the machines of its operators, in one process and on one thread: the real stores, session and handler on
/// simulated disks, clocks and randomness. Everything follows from the settings.
public final class Cluster {
    public let settings: Settings
    public let world: WorldClock
    public let server: ServerMachine
    public internal(set) var machines: [ClientMachine] = []
    public let oracle = Oracle()
    var random: SplitMix64
    public internal(set) var trace: Trace
    private(set) var accounts: [(id: RecordID, name: String)] = []
    /// Whether anybody was ever locked out.
    var hasRevoked = false
    /// What a hand-over under way writes.
    var handedOver: [Event] = []
    /// The places in the server's own logs that are accounted for.
    var serversDots: Set<Dot> = []
    /// What the server folded and the replicas took over from others, in operations.
    var folded = 0
    var nextValue = 0
    /// How many machines were ever enrolled.
    private var enrolled = 0
    /// Whether the server was ever wiped: keys and tokens of before and after are strangers to each other.
    var hasWiped = false

    /// 2026-01-01.
    static let start: Int64 = 1_767_225_600_000

    public init(_ settings: Settings, trace: Trace = Trace()) throws {
        self.settings = settings
        self.trace = trace
        random = SplitMix64(seed: settings.seed)
        world = WorldClock(start: Self.start)
        server = try ServerMachine(
            world: world, seed: random.next(), page: settings.page, isAhead: settings.isServerAhead)
        let book = Accounts(store: try server.opened(), environment: server.environment)
        for number in 0..<settings.accounts {
            let name = "account \(number)"
            accounts.append((try book.add(name: name, role: role(of: name)).account, name))
        }
        oracle.accounts = Set(accounts.map(\.id))
        for number in 0..<settings.replicas { try enroll(accounts[number % accounts.count], book) }
    }

    func enroll(_ account: (id: RecordID, name: String), _ book: Accounts) throws {
        let seed = random.next()
        let machine = ClientMachine(
            number: enrolled, account: account, world: world, seed: seed, options: options(seed),
            image: try ClientMachine.blank.get(), isAhead: enrolled < settings.ahead)
        enrolled += 1
        let key = Self.key(machine.random)
        let answer = try book.enroll(EnrollRequest(code: try book.newCode(name: account.name).code, key: key))
        try machine.start()
        try machine.opened().adopt(answer, key: key)
        machine.key = key
        machines.append(machine)
    }

    /// Some machines index text while they work.
    func options(_ seed: UInt64) -> Replica.Options {
        Replica.Options(textQueueBound: seed % 8 == 0 ? 20 : nil, frameOperations: settings.frame)
    }

    /// 32 random bytes in base64url.
    static func key(_ random: SeededSource) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        // 43 characters are 258 bits: the last character carries only four.
        var text = random.bytes(42).map { alphabet[Int($0 & 63)] }
        text.append(alphabet[Int(random.bytes(1)[0] & 15) << 2])
        return String(decoding: text, as: UTF8.self)
    }

    /// The machine with that number, unless it was given up.
    func machine(_ number: Int) -> ClientMachine? { machines.first { $0.number == number } }

    /// Where not everybody sees everything one account does, which also adds and removes followers.
    func role(of account: String) -> Role {
        settings.visibility && account != "account 0" ? .sales : .supervisor
    }

    func name(of account: RecordID) -> String { accounts.first { $0.id == account }?.name ?? account.description }

    // MARK: Syncing without faults

    /// One whole sync over a faultless network.
    ///
    /// - Throws: what stops a sync.
    @discardableResult
    public func sync(_ machine: ClientMachine) throws -> SyncReport {
        try admit(machine)
        var run = SyncRun(try machine.opened())
        while true {
            switch try run.next() {
            case .send(let plain):
                let body = try machine.spoken(plain)
                run.sending(body)
                let answer = try server.handle(body, account: machine.account.id)
                trace.note("settle", bytes: answer, words: FrameWords.of(body, answer, machine))
                try learn(answer, for: machine)
                try run.received(answer)
            case .relay(let plain):
                let body = try machine.spoken(plain)
                run.sending(body)
                trace.note("relay", bytes: body, words: FrameWords.of(relay: body, machine))
                try run.received(try server.relay(body, account: machine.account.id))
            case .finished(let report):
                if settings.faults.lineage { try oracle.relearn(machine) }
                folded += report.pushed + report.pulled
                return report
            }
        }
    }

    /// Once logs were copied or restored a place may mean one operation here and another there: what a page names is what
    /// the server has there at that moment.
    func learn(_ answer: [UInt8], for machine: ClientMachine) throws {
        guard settings.faults.lineage, let store = server.store else { return }
        let hashes = try store.takenHashes()
        let page = try SyncResponse(decoding: answer).page
        for head in page.heads {
            for entry in page.entries[head.entries] {
                guard let hash = hashes[entry.dot] else { continue }
                let cell = CellName(head.id, entry.key) { slice in
                    String(decoding: page.arena[slice.range], as: UTF8.self)
                }
                oracle.learn(entry.dot, in: cell, hash, for: machine.number)
            }
        }
    }

    /// Syncs all machines until nothing moves any more.
    ///
    /// - Throws: `SimulationError` if they never come to rest.
    public func settle() throws {
        for _ in 0..<12 {
            var moved = 0
            for machine in machines {
                if try handOverWhole(machine) {
                    moved += 1
                    continue
                }
                let report = try sync(machine)
                moved += report.pushed + report.pulled + report.refused.count
            }
            if moved == 0 { return }
        }
        throw SimulationError("the machines do not come to rest")
    }

    /// Compares everything with what the operators did. All machines are up, nothing is under way, nothing is unsent.
    public func verify() throws -> Findings {
        var verification = try Verification(self)
        try verification.run()
        var findings = verification.findings
        findings.operations = oracle.order.count + folded
        return findings
    }

    // MARK: Reading

    /// - Parameter machine: whose account's view it is; nil for everything.
    func serverDump(for machine: ClientMachine? = nil) throws -> [UInt8] {
        var lines: [UInt8] = []
        let dump = try server.opened().dump(account: machine?.account.name)
        while let next = try dump.next() { lines += next }
        return lines
    }

    func dump(_ machine: ClientMachine) throws -> [UInt8] {
        var lines: [UInt8] = []
        try machine.opened().dump { line in
            lines += line
            lines.append(10)
        }
        return lines
    }
}
