import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import ShoalCRDT
import ShoalProtocol

/// What the administrative commands ask of a running server, on a socket that only its user can open.
extension Services {
    var administrationRoutes: [Routes.Route] {
        [
            .init(method: .get, path: "/healthz", isQuiet: true) { _ in Self.answer("text/plain", Array("ok\n".utf8)) },
            .init(method: .get, path: "/v1/accounts") { _ in try Self.json(try self.accounts.list()) },
            .init(method: .post, path: "/v1/accounts") { request in
                let account: NewAccount = try await self.decode(request)
                guard let role = Role(rawValue: account.role) else {
                    throw Problem.malformed("the role must be expert, sales or supervisor")
                }
                let made = try self.accounts.add(name: account.name, role: role)
                return try Self.json(AccountCode(account: made.account.description, code: made.code), status: .created)
            },
            .init(method: .post, path: "/v1/accounts/code") { request in
                let account: AccountName = try await self.decode(request)
                let made = try self.accounts.newCode(name: account.name)
                return try Self.json(AccountCode(account: made.account.description, code: made.code), status: .created)
            },
            .init(method: .post, path: "/v1/accounts/handover") { request in
                let wanted: HandoverRequest = try await self.decode(request)
                return try Self.json(
                    try self.accounts.handover(from: wanted.from, to: wanted.to, isDryRun: wanted.isDryRun))
            },
            .init(method: .post, path: "/v1/accounts/cancel") { request in
                let account: AccountName = try await self.decode(request)
                return try Self.json(["cancelled": try self.accounts.cancelCodes(name: account.name)])
            },
            .init(method: .post, path: "/v1/accounts/change") { request in
                let change: AccountChange = try await self.decode(request)
                try self.accounts.change(change)
                return try Self.json([String: String]())
            },
            .init(method: .post, path: "/v1/devices") { request in
                let account: DeviceListing = try await self.decode(request)
                return try Self.json(try self.accounts.devices(of: account.account))
            },
            .init(method: .post, path: "/v1/devices/change") { request in
                let change: DeviceChange = try await self.decode(request)
                try self.accounts.change(change)
                return try Self.json([String: String]())
            },
            .init(method: .get, path: "/v1/settings") { _ in try Self.json(try self.accounts.settings()) },
            .init(method: .post, path: "/v1/settings") { request in
                let setting: NewSetting = try await self.decode(request)
                try self.accounts.set(setting.name, to: setting.value)
                return try Self.json(try self.accounts.settings())
            },
            .init(method: .post, path: "/v1/audit") { request in
                let query: AuditQuery = try await self.decode(request)
                return try Self.json(try self.store.auditForOperator(query, time: self.environment.now()))
            },
            .init(method: .post, path: "/v1/recover") { request in
                let wanted: RecoveryRequest = try await self.decode(request)
                return try Self.json(try self.handler.recover(wanted))
            },
            .init(method: .post, path: "/v1/erase") { request in
                let wanted: ErasureRequest = try await self.decode(request)
                guard let person = RecordID(text: wanted.person), person.isValid else {
                    throw Problem.malformed("an identifier has 13 characters")
                }
                return try Self.json(try self.handler.erase(person, by: wanted.by, isDryRun: wanted.isDryRun))
            },
            .init(method: .post, path: "/v1/check") { request in
                let check: CheckRequest = try await self.decode(request)
                if let backup = check.mend {
                    try self.store.note(.mend, time: self.environment.now())
                    try self.store.mend(from: backup)
                }
                return try Self.json(try self.store.check())
            },
            .init(method: .post, path: "/v1/backup") { request in
                let backup: BackupRequest = try await self.decode(request)
                return try Self.json(try self.store.backup(to: backup.file, time: self.environment.now()))
            },
            .init(method: .post, path: "/v1/dump") { request in
                let account: DumpRequest = try await self.decode(request)
                let dump = try self.store.dump(account: account.account)
                try self.store.note(.dump, account: account.account, time: self.environment.now())
                return Routes.Answer(
                    response: Response(
                        status: .ok, headers: [.contentType: "application/x-ndjson"],
                        body: ResponseBody { writer in
                            while let lines = try dump.next() { try await writer.write(ByteBuffer(bytes: lines)) }
                            try await writer.finish(nil)
                        }))
            },
        ]
    }

    private func decode<T: Decodable>(_ request: Request) async throws -> T {
        let body = try await body(request, limit: 4_096)
        do { return try JSONDecoder().decode(T.self, from: Data(body)) } catch {
            throw Problem.malformed("the body is not JSON in form")
        }
    }

    static func json(
        _ value: some Encodable, status: HTTPResponse.Status = .ok, _ place: RequestGate.Place? = nil
    ) throws -> Routes.Answer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return answer("application/json", Array(try encoder.encode(value)), status: status, place)
    }
}

/// The body of `POST /v1/accounts`.
public struct NewAccount: Codable, Sendable {
    public var name: String
    /// `expert`, `sales` or `supervisor`.
    public var role: String
    public init(name: String, role: String) {
        self.name = name
        self.role = role
    }
}

/// The body of `POST /v1/accounts/code`.
public struct AccountName: Codable, Sendable {
    public var name: String
    public init(name: String) { self.name = name }
}

/// The body of `POST /v1/accounts/handover`: names.
public struct HandoverRequest: Codable, Sendable {
    public var from: String
    public var to: String
    public var isDryRun: Bool
    public init(from: String, to: String, isDryRun: Bool) {
        self.from = from
        self.to = to
        self.isDryRun = isDryRun
    }
}

/// The body of `POST /v1/dump`; without an account everything is dumped.
public struct DumpRequest: Codable, Sendable {
    /// A name.
    public var account: String?
    public init(account: String?) { self.account = account }
}

/// The body of `POST /v1/recover`.
public struct RecoveryRequest: Codable, Sendable {
    /// Whether it ends rather than begins.
    public var finishes: Bool
    public init(finishes: Bool) { self.finishes = finishes }
}

/// An account and a code to enroll a replica of it.
public struct AccountCode: Codable, Sendable, Equatable {
    /// 13 characters.
    public var account: String
    /// XXXX-XXXX-XXXX.
    public var code: String
    public init(account: String, code: String) {
        self.account = account
        self.code = code
    }
}

/// The body of `POST /v1/erase`.
public struct ErasureRequest: Codable, Sendable {
    /// The customer: 13 characters.
    public var person: String
    /// Who asks for it.
    public var by: String
    public var isDryRun: Bool
    public init(person: String, by: String, isDryRun: Bool) {
        self.person = person
        self.by = by
        self.isDryRun = isDryRun
    }
}

/// The body of `POST /v1/check`.
public struct CheckRequest: Codable, Sendable {
    /// A backup from which records in quarantine are mended first: an absolute path.
    public var mend: String?
    public init(mend: String?) { self.mend = mend }
}

/// The body of `POST /v1/backup`.
public struct BackupRequest: Codable, Sendable {
    /// An absolute path where nothing is yet.
    public var file: String
    public init(file: String) { self.file = file }
}
