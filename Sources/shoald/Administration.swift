import AsyncHTTPClient
import Foundation
import Glibc
import NIOCore
import ShoalCRDT
import ShoalProtocol
import ShoalServer

/// What administrative commands do, on the database itself while nobody has it open, else through the running server.
enum Administration {
    /// Opens the way there is; waits up to ten seconds while another process holds the database and does not answer.
    ///
    /// - Parameter creates: whether a database is made if there is none; reading a mistyped directory must not leave an
    ///   empty workspace there.
    static func open(_ directory: DataDirectory, creates: Bool) async throws -> Administration {
        guard creates || directory.hasDatabase else {
            throw Failure("there is no database in \(directory.path): shoald serve and shoald account add make one")
        }
        try directory.make()
        let remote = RemoteServer(socket: try directory.socket())
        let opened = try await DataDirectory.waiting { () -> Administration? in
            if let lock = try directory.lock() { return .local(try directory.open(), lock) }
            return await remote.answers() ? .remote(remote) : nil
        }
        guard let opened else {
            throw Failure("the data directory \(directory.path) is in use by another process that does not answer")
        }
        return opened
    }

    case local(ServerStore, DataDirectory.Lock)
    case remote(RemoteServer)

    static func with<T>(
        _ options: GlobalOptions, creates: Bool = false, _ body: (Administration) async throws -> T
    ) async throws -> T {
        let administration = try await open(try options.directory, creates: creates)
        do {
            let result = try await body(administration)
            try administration.close()
            return result
        } catch {
            try? administration.close()
            throw error
        }
    }

    private func close() throws {
        if case .local(let store, _) = self { try store.close() }
    }

    func add(_ name: String, role: Role) async throws -> AccountCode {
        switch self {
        case .local(let store, _):
            let made = try Accounts(store: store, environment: .system).add(name: name, role: role)
            return AccountCode(account: made.account.description, code: made.code)
        case .remote(let server):
            return try await server.post("/v1/accounts", NewAccount(name: name, role: role.rawValue))
        }
    }

    func code(_ account: AccountName) async throws -> AccountCode {
        switch self {
        case .local(let store, _):
            let made = try Accounts(store: store, environment: .system).newCode(name: account.name)
            return AccountCode(account: made.account.description, code: made.code)
        case .remote(let server): return try await server.post("/v1/accounts/code", account)
        }
    }

    func handover(_ request: HandoverRequest) async throws -> HandoverReport {
        switch self {
        case .local(let store, _):
            return try Accounts(store: store, environment: .system).handover(
                from: request.from, to: request.to, isDryRun: request.isDryRun)
        case .remote(let server): return try await server.post("/v1/accounts/handover", request)
        }
    }

    func list() async throws -> [Account] {
        switch self {
        case .local(let store, _): return try Accounts(store: store, environment: .system).list()
        case .remote(let server): return try await server.get("/v1/accounts")
        }
    }

    func cancelCodes(_ account: AccountName) async throws -> Int {
        switch self {
        case .local(let store, _):
            return try Accounts(store: store, environment: .system).cancelCodes(name: account.name)
        case .remote(let server):
            let answer: [String: Int] = try await server.post("/v1/accounts/cancel", account)
            return answer["cancelled"] ?? 0
        }
    }

    func change(_ change: AccountChange) async throws {
        switch self {
        case .local(let store, _): try Accounts(store: store, environment: .system).change(change)
        case .remote(let server): let _: [String: String] = try await server.post("/v1/accounts/change", change)
        }
    }

    func devices(_ listing: DeviceListing) async throws -> [Device] {
        switch self {
        case .local(let store, _):
            return try Accounts(store: store, environment: .system).devices(of: listing.account)
        case .remote(let server): return try await server.post("/v1/devices", listing)
        }
    }

    func change(_ change: DeviceChange) async throws {
        switch self {
        case .local(let store, _): try Accounts(store: store, environment: .system).change(change)
        case .remote(let server): let _: [String: String] = try await server.post("/v1/devices/change", change)
        }
    }

    func settings() async throws -> [SettingValue] {
        switch self {
        case .local(let store, _): return try Accounts(store: store, environment: .system).settings()
        case .remote(let server): return try await server.get("/v1/settings")
        }
    }

    func set(_ setting: NewSetting) async throws {
        switch self {
        case .local(let store, _):
            try Accounts(store: store, environment: .system).set(setting.name, to: setting.value)
        case .remote(let server): let _: [SettingValue] = try await server.post("/v1/settings", setting)
        }
    }

    func audit(_ query: AuditQuery) async throws -> AuditPage {
        switch self {
        case .local(let store, _): return try store.auditForOperator(query, time: ServerEnvironment.system.now())
        case .remote(let server): return try await server.post("/v1/audit", query)
        }
    }

    func recover(_ request: RecoveryRequest) async throws -> RecoveryReport {
        switch self {
        case .local(let store, _):
            try store.note(request.finishes ? .recoverEnd : .recover, time: ServerEnvironment.system.now())
            return try request.finishes ? store.finishRecovery() : store.beginRecovery()
        case .remote(let server): return try await server.post("/v1/recover", request)
        }
    }

    func erase(_ request: ErasureRequest, _ person: RecordID) async throws -> ErasureReport {
        switch self {
        case .local(let store, _):
            return try store.erase(
                person, by: request.by, time: ServerEnvironment.system.now(), isDryRun: request.isDryRun)
        case .remote(let server): return try await server.post("/v1/erase", request)
        }
    }

    /// Hands the lines of a dump to `write` as they come.
    func dump(_ request: DumpRequest, _ write: ([UInt8]) throws -> Void) async throws {
        switch self {
        case .local(let store, _):
            let dump = try store.dump(account: request.account)
            try store.note(.dump, account: request.account, time: ServerEnvironment.system.now())
            while let lines = try dump.next() { try write(lines) }
        case .remote(let server): try await server.stream("/v1/dump", request, write)
        }
    }
}

/// A running server, reached through the socket in its data directory.
struct RemoteServer {
    private let base: String
    private let socket: String

    init(socket: String) {
        self.socket = socket
        let path = socket.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? socket
        base = "http+unix://\(path)"
    }

    func answers() async -> Bool {
        // The client would go on trying to connect to a socket that is not there.
        guard access(socket, F_OK) == 0 else { return false }
        let request = HTTPClientRequest(url: base + "/healthz")
        return (try? await HTTPClient.shared.execute(request, timeout: .seconds(2)))?.status == .ok
    }

    func get<T: Decodable>(_ path: String) async throws -> T {
        try await decode(try await send(HTTPClientRequest(url: base + path)))
    }

    func post<T: Decodable>(_ path: String, _ body: some Encodable) async throws -> T {
        try await decode(try await send(try request(path, body)))
    }

    func stream(_ path: String, _ body: some Encodable, _ write: ([UInt8]) throws -> Void) async throws {
        var chunks = try await send(try request(path, body)).body.makeAsyncIterator()
        while true {
            let chunk: ByteBuffer?
            do { chunk = try await chunks.next() } catch { throw Self.broken }
            guard let chunk else { return }
            try write(Array(chunk.readableBytesView))
        }
    }

    /// A server that was ended while it worked may have done it or not.
    private static let broken = Failure(
        "the running server ended or did not answer in time; what was asked for may be done: look, and ask again if it is not"
    )

    private static func collected(_ response: HTTPClientResponse, upTo limit: Int) async throws -> ByteBuffer {
        do { return try await response.body.collect(upTo: limit) } catch { throw broken }
    }

    private func request(_ path: String, _ body: some Encodable) throws -> HTTPClientRequest {
        var request = HTTPClientRequest(url: base + path)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.body = .bytes(ByteBuffer(bytes: try JSONEncoder().encode(body)))
        return request
    }

    private func send(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        let response: HTTPClientResponse
        do { response = try await HTTPClient.shared.execute(request, timeout: .seconds(600)) } catch {
            throw Self.broken
        }
        if (200..<300).contains(Int(response.status.code)) { return response }
        struct Problem: Decodable { var detail: String }
        let body = try await Self.collected(response, upTo: 1 << 20)
        let problem = try? JSONDecoder().decode(Problem.self, from: Data(body.readableBytesView))
        throw Failure(problem?.detail ?? "the running server answered with status \(response.status.code)")
    }

    private func decode<T: Decodable>(_ response: HTTPClientResponse) async throws -> T {
        let body = try await Self.collected(response, upTo: 64 << 20)
        return try JSONDecoder().decode(T.self, from: Data(body.readableBytesView))
    }
}
