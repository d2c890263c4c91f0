import Foundation
import ShoalCRDT
import ShoalProtocol

@testable import ShoalServer

/// Who sends a request.
enum Caller: String, CaseIterable {
    case nobody, malformedKey, wrongKey, revoked, disabled, expert, sales, supervisor
    /// With a good key of its own and what is another account's.
    case foreignLog, foreignCursor

    /// Whether no request of it may be answered with anything of the workspace.
    var isRefused: Bool {
        switch self {
        case .nobody, .malformedKey, .wrongKey, .revoked, .disabled: true
        case .expert, .sales, .supervisor, .foreignLog, .foreignCursor: false
        }
    }
}

/// The accounts, devices and records that the matrix is about.
final class MatrixScene {
    /// Stands in a customer's name, an account's and a device's: nobody who is refused may read it.
    static let canary = "柠檬糖"

    let server: TestServer
    private var callers: [Caller: TestReplica] = [:]
    let victim: TestReplica
    private var number = 0

    init(_ server: TestServer) throws {
        self.server = server
        victim = try server.replica(Self.canary)
        try victim.sync(Operations { $0.makeCustomer(victim.newID(), name: Self.canary) })
        for caller in Caller.allCases {
            let role: Role =
                switch caller {
                case .expert: .expert
                case .supervisor: .supervisor
                default: .sales
                }
            let code = try server.accounts.add(name: caller.rawValue, role: role).code
            let replica = try server.replica(code: code)
            try replica.sync(Operations { $0.makeCustomer(replica.newID(), name: "客户") })
            callers[caller] = replica
        }
        try server.accounts.rename(device: victim.replica.text, to: Self.canary)
        try server.accounts.setDisabled(true, name: Caller.disabled.rawValue)
        try server.accounts.revoke(device: replica(.revoked).replica.text, discards: false)
    }

    /// The device of a caller; one that is there for those who have none.
    func replica(_ caller: Caller) -> TestReplica { callers[caller] ?? victim }

    func key(_ caller: Caller) -> String? {
        switch caller {
        case .nobody: nil
        case .malformedKey: "not a key"
        case .wrongKey: Base64URL.encode(server.random.bytes(32))
        default: replica(caller).key
        }
    }

    /// A name that no account has.
    func freshName() -> String {
        number += 1
        return "新\(number)"
    }

    func sync(_ caller: Caller) throws -> [UInt8] {
        let own = replica(caller)
        var request = own.request(Operations())
        if caller == .foreignLog { request.logs = victim.request(Operations()).logs }
        if caller == .foreignCursor { request.cursor = victim.cursor }
        return try request.encoded()
    }

    func digest(_ caller: Caller) throws -> [UInt8] {
        let own = caller == .foreignCursor ? victim : replica(caller)
        return try DigestRequest(
            epoch: server.store.epoch, cursor: own.cursor, seen: 0, ranges: [], wanted: []
        ).encoded()
    }

    func relay() throws -> [UInt8] {
        try RelayRequest(epoch: server.store.epoch, vector: VersionVector(), page: RecordPage()).encoded()
    }

    func enrolment(_ caller: Caller) throws -> [UInt8] {
        let key = Base64URL.encode(server.random.bytes(32))
        if caller.isRefused { return EnrollRequest(code: "0000-0000-0000", key: key).encoded() }
        return EnrollRequest(code: try server.accounts.newCode(name: caller.rawValue).code, key: key).encoded()
    }
}

/// What a route answers to every caller, of a request of one kind. A route has at least one row.
struct MatrixRow {
    /// Tells the rows of a route apart.
    var what = ""
    var method: String
    var path: String
    var door: Served.Door
    var isCompressed = false
    /// Whether nobody may be told anything of another account.
    var isPrivate = false
    /// Whether supervisors may all the same.
    var tellsSupervisors = false
    /// The body that the caller would send.
    var body: (MatrixScene, Caller) throws -> [UInt8] = { _, _ in [] }
    /// The status that it must get.
    var status: (Caller) -> Int

    var route: String { "\(door) \(method) \(path)" }

    /// For whoever has a good key.
    static func known(
        _ path: String, isCompressed: Bool = true, isPrivate: Bool = false, foreignLog: Int = 200,
        foreignCursor: Int = 200, good: Int = 200,
        revoked: Int = 403, _ body: @escaping (MatrixScene, Caller) throws -> [UInt8]
    ) -> MatrixRow {
        MatrixRow(
            method: "POST", path: path, door: .network, isCompressed: isCompressed, isPrivate: isPrivate, body: body
        ) { caller in
            switch caller {
            case .nobody, .malformedKey, .wrongKey: 401
            case .revoked, .disabled: revoked
            case .expert, .sales, .supervisor: good
            case .foreignLog: foreignLog
            case .foreignCursor: foreignCursor
            }
        }
    }

    /// For everybody, and says nothing of anybody.
    static func open(_ path: String) -> MatrixRow { MatrixRow(method: "GET", path: path, door: .network) { _ in 200 } }

    /// On the socket that only the server's own user can open: no key is asked for, and none makes a difference.
    static func own(
        _ method: String, _ path: String, _ status: Int = 200,
        _ body: @escaping (MatrixScene) throws -> any Encodable = { _ in [String: String]() }
    ) -> MatrixRow {
        MatrixRow(
            method: method, path: path, door: .administration,
            body: { scene, _ in Array(try JSONEncoder().encode(try body(scene))) }, status: { _ in status })
    }

    static var all: [MatrixRow] {
        [
            MatrixRow(
                method: "POST", path: "/v1/enroll", door: .network, body: { try $0.enrolment($1) },
                status: { $0.isRefused ? 403 : 200 }),
            known("/v1/sync", foreignLog: 403, foreignCursor: 400) { try $0.sync($1) },
            // Whoever is revoked may bring what it had; who is not has nothing to hand over.
            known("/v1/handover", foreignLog: 409, foreignCursor: 409, good: 409, revoked: 200) { try $0.sync($1) },
            known("/v1/devices", isCompressed: false, isPrivate: true) { _, _ in [] },
            known("/v1/relay", foreignLog: 409, foreignCursor: 409, good: 409) { scene, _ in try scene.relay() },
            known("/v1/digest", foreignCursor: 400) { try $0.digest($1) },
            MatrixRow(
                method: "GET", path: "/v1/audit", door: .network, isPrivate: true, tellsSupervisors: true,
                status: { caller in
                    switch caller {
                    case .nobody, .malformedKey, .wrongKey: 401
                    case .revoked, .disabled: 403
                    case .expert, .sales, .supervisor, .foreignLog, .foreignCursor: 200
                    }
                }),
            open("/v1/openapi.json"), open("/healthz"), open("/readyz"), open("/metrics"),
            own("GET", "/healthz"), own("GET", "/v1/accounts"), own("GET", "/v1/settings"),
            own("POST", "/v1/accounts", 201) { NewAccount(name: $0.freshName(), role: "sales") },
            own("POST", "/v1/accounts/code", 201) { _ in AccountName(name: "sales") },
            own("POST", "/v1/accounts/cancel") { _ in AccountName(name: "sales") },
            own("POST", "/v1/accounts/handover") { _ in HandoverRequest(from: "sales", to: "expert", isDryRun: true) },
            own("POST", "/v1/accounts/change") { _ in AccountChange(name: "sales", role: .sales) },
            own("POST", "/v1/devices") { _ in DeviceListing(account: "sales") },
            own("POST", "/v1/devices/change") {
                DeviceChange(replica: $0.victim.replica.text, name: MatrixScene.canary)
            },
            own("POST", "/v1/settings") { _ in NewSetting(name: "tag-editors", value: "everyone") },
            own("POST", "/v1/audit") { _ in AuditQuery() },
            own("POST", "/v1/erase") { scene in
                let customer = scene.victim.rows.values.first { $0.envelope.kind == .customer }
                return ErasureRequest(person: customer?.id.description ?? "", by: "root", isDryRun: true)
            },
            own("POST", "/v1/recover") { _ in RecoveryRequest(finishes: true) },
            own("POST", "/v1/check") { _ in CheckRequest(mend: nil) },
            own("POST", "/v1/backup") { BackupRequest(file: $0.server.directory + "/" + $0.freshName()) },
            own("POST", "/v1/dump") { _ in DumpRequest(account: nil) },
        ]
    }
}
