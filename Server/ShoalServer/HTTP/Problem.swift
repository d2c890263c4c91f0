import HTTPTypes
import Hummingbird
import NIOHTTP1
import ShoalProtocol
import ShoalStore

/// A problem document (RFC 9457): what was wrong with a request, for a program and for a person.
struct Problem: Error, Equatable {
    var status: HTTPResponse.Status
    /// The last part of the type's URN, `urn:shoal:problem:…`.
    var type: String
    var title: String
    var detail: String
    /// Seconds after which the request may be sent again.
    var retryAfter: Int64?

    init(_ status: HTTPResponse.Status, _ type: String, _ title: String, _ detail: String) {
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
    }

    static let notFound = Problem(.notFound, "not-found", "Not found", "there is nothing at this address")
    static let unauthorized = Problem(
        .unauthorized, "unauthorized", "Not authorized", "the key is missing or is not a replica's of this server")
    static let busy = Problem(
        .tooManyRequests, "too-many-requests", "Too many requests",
        "this account has too many requests under way; wait for their answers")
    /// - Parameter seconds: after which there is room for one.
    static func tooMany(_ what: String, after seconds: Int64) -> Problem {
        var problem = Problem(.tooManyRequests, "too-many-requests", "Too many requests", what)
        problem.retryAfter = seconds
        return problem
    }
    static let timeout = Problem(.requestTimeout, "timeout", "Too slow", "the body did not arrive in time")
    static let headerTooLarge = Problem(
        .requestHeaderFieldsTooLarge, "header-too-large", "Header too large",
        "the header is longer than \(Limits.header) bytes")
    static let failed = Problem(
        .internalServerError, "failed", "Failed", "the server failed; nothing of the request was stored")
    static let notReady = Problem(
        .serviceUnavailable, "not-ready", "Not ready", "the server cannot store anything at the moment")

    static func damaged(_ detail: String) -> Problem {
        Problem(.serviceUnavailable, "damaged", "Damaged", detail)
    }
    static func tooLarge(_ limit: Int) -> Problem {
        Problem(.contentTooLarge, "too-large", "Too large", "the body is longer than \(limit) bytes")
    }
    static func method(_ allowed: String) -> Problem {
        Problem(.methodNotAllowed, "method-not-allowed", "Method not allowed", "this address answers to \(allowed)")
    }
    static func mediaType(_ detail: String) -> Problem {
        Problem(.unsupportedMediaType, "media-type", "Unsupported media type", detail)
    }
    static func malformed(_ detail: String) -> Problem {
        Problem(.badRequest, "malformed", "Malformed request", detail)
    }

    /// What a thrown error means to the client. Details of the server's own failures stay in its log.
    init(_ error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let error as FrameError: self.init(frame: error)
        case let error as SyncProblem: self.init(sync: error)
        case let error as AccountProblem: self.init(account: error)
        case let error as ErasureProblem: self.init(erasure: error)
        case let error as BackupProblem: self.init(.conflict, "backup", "No backup", "\(error)")
        case let error as StoreError: self.init(store: error)
        default: self = .failed
        }
    }

    /// What is no HTTP, or too much of it.
    init(parser error: HTTPParserError) {
        self = error == .headerOverflow ? .headerTooLarge : .malformed("the request is not HTTP in form")
    }

    private init(frame error: FrameError) {
        switch error {
        case .tooLarge(let limit): self = .tooLarge(limit)
        case .protocolVersion:
            self.init(.badRequest, "protocol-version", "Unsupported protocol version", "\(error)")
        case .compression(.tooLarge):
            self.init(.contentTooLarge, "too-large", "Too large", "\(error)")
        case .compression, .json: self = .malformed("\(error)")
        }
    }

    private init(sync error: SyncProblem) {
        switch error {
        case .malformed: self = .malformed("\(error)")
        case .otherEpoch: self.init(.conflict, "other-epoch", "Another workspace", "\(error)")
        case .foreignLog: self.init(.forbidden, "foreign-log", "Not this account's log", "\(error)")
        case .foreignToken: self.init(.badRequest, "foreign-token", "Not this server's token", "\(error)")
        case .relayOfOtherEpoch: self.init(.conflict, "epoch", "Another epoch", "\(error)")
        case .tooManyReplicas: self.init(.tooManyRequests, "too-many-replicas", "Too many replicas", "\(error)")
        case .tooManyVectors: self.init(.conflict, "too-many-vectors", "Too many vectors", "\(error)")
        case .noRecovery: self.init(.conflict, "no-recovery", "No recovery", "\(error)")
        case .damagedRecord: self = .damaged("\(error)")
        case .tooManyOperations: self.init(.contentTooLarge, "too-large", "Too large", "\(error)")
        }
    }

    private init(account error: AccountProblem) {
        switch error {
        case .badName, .badKey, .sameAccount: self = .malformed("\(error)")
        case .noRole: self.init(.conflict, "no-role", "No role", "\(error)")
        case .nameTaken: self.init(.conflict, "name-taken", "Name taken", "\(error)")
        case .unknownAccount: self.init(.notFound, "unknown-account", "Unknown account", "\(error)")
        case .wrongCode: self.init(.forbidden, "wrong-code", "Wrong code", "\(error)")
        case .expiredCode: self.init(.forbidden, "expired-code", "Expired code", "\(error)")
        case .usedCode: self.init(.forbidden, "used-code", "Used code", "\(error)")
        case .unknownFormer: self.init(.conflict, "no-recovery", "No recovery", "\(error)")
        case .otherAccount, .otherName: self.init(.forbidden, "other-account", "Another account", "\(error)")
        case .keyTaken: self.init(.conflict, "key-taken", "Key taken", "\(error)")
        case .disabled: self.init(.forbidden, "disabled", "Disabled", "\(error)")
        case .revoked: self.init(.forbidden, "revoked", "Revoked", "\(error)")
        case .handoverClosed: self.init(.forbidden, "handover-closed", "Handover closed", "\(error)")
        case .notRevoked: self.init(.conflict, "not-revoked", "Not revoked", "\(error)")
        case .unknownDevice: self.init(.notFound, "unknown-device", "Unknown device", "\(error)")
        case .unknownSetting: self.init(.notFound, "unknown-setting", "Unknown setting", "\(error)")
        case .badDeviceName, .badQuery, .badSetting, .unknownRole: self = .malformed("\(error)")
        case .noIdentifiers:
            self.init(.insufficientStorage, "exhausted", "Exhausted", "\(error)")
        }
    }

    private init(erasure error: ErasureProblem) {
        switch error {
        case .unknown: self.init(.notFound, "unknown-record", "Unknown record", "\(error)")
        case .noCustomer, .badName: self = .malformed("\(error)")
        }
    }

    private init(store error: StoreError) {
        switch error {
        case .full:
            self.init(
                .insufficientStorage, "disk-full", "Disk full",
                "the server's disk is full; nothing of the request was stored, and it can be sent again")
        case .busy: self = .notReady
        case .damaged, .damagedRecord:
            self = .damaged(
                "the server's database is damaged there; nothing of the request was stored, and it can be sent again once "
                    + "that is mended")
        default: self = .failed
        }
    }

    /// The document.
    var bytes: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("type")
        json.string("urn:shoal:problem:\(type)")
        json.key("title")
        json.string(title)
        json.key("status")
        json.integer(Int64(status.code))
        json.key("detail")
        json.string(detail)
        json.endObject()
        return json.bytes
    }

    var response: Response {
        var response = Response(
            status: status, headers: [.contentType: "application/problem+json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
        if status == .unauthorized { response.headers[.wwwAuthenticate] = "Bearer" }
        if status == .tooManyRequests || status == .serviceUnavailable {
            response.headers[.retryAfter] = "\(retryAfter ?? 1)"
        }
        return response
    }
}

extension HTTPResponse.Status {
    fileprivate static let insufficientStorage = HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage")
}
