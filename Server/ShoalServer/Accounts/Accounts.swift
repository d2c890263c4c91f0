import ShoalCRDT
import ShoalProtocol

/// Why something about accounts was refused.
public enum AccountProblem: Error, Equatable, Sendable, CustomStringConvertible {
    case badName
    case nameTaken(String)
    case unknownAccount(String)
    /// A hand-over from an account to itself.
    case sameAccount(String)
    /// Neither typed right nor ever handed out.
    case wrongCode
    case expiredCode
    /// Another replica used it.
    case usedCode
    /// The key is not 32 bytes in base64url.
    case badKey
    /// The key is another replica's.
    case keyTaken
    /// All 65,535 identifiers of this epoch are handed out.
    /// No time identifiers are left.
    case noIdentifiers
    /// A home of an account that this server does not know, while nobody asked for what replicas held.
    case unknownFormer
    /// A home of an account that is another one's.
    case otherAccount(String)
    /// A home of an account that has another name than the code's.
    case otherName(String, home: String)

    public var description: String {
        switch self {
        case .badName: "an account's name has 1 to 64 bytes, no control characters, and no spaces at its ends"
        case .nameTaken(let name): "there is an account \(name) already"
        case .unknownAccount(let name): "there is no account \(name)"
        case .sameAccount(let name): "\(name) has its own customers already"
        case .wrongCode: "the enrolment code is wrong"
        case .expiredCode: "the enrolment code has expired; ask for a new one"
        case .usedCode: "the enrolment code was used already; ask for a new one"
        case .badKey: "the key must be 32 bytes in base64url"
        case .keyTaken: "the key is in use by another replica; draw a new one"
        case .unknownFormer:
            "this home was enrolled with a server that had its account, and this one has not; if this server stands in "
                + "for one that was lost, let its operator run shoald recover first"
        case .otherAccount(let name): "this home is not one of \(name)'s; enroll another home with this code"
        case .otherName(let name, let home):
            "this home is \(home)'s and the code is \(name)'s; ask for a code for \(home), or enroll another home with this one"
        case .noIdentifiers: "this server has used up all its record identifiers"
        }
    }
}

/// An account as administration lists it.
public struct Account: Equatable, Sendable, Codable {
    /// 13 characters.
    public var id: String
    public var name: String
    public var role: String
    /// How many replicas were enrolled.
    public var replicas: Int
}

/// Who sent a request.
public struct Credential: Equatable, Sendable {
    public var account: RecordID
    public var replica: ReplicaID
}

/// Accounts and enrolment.
public struct Accounts: Sendable {
    private let store: ServerStore
    private let environment: ServerEnvironment

    public init(store: ServerStore, environment: ServerEnvironment) {
        self.store = store
        self.environment = environment
    }

    /// Makes an account and a code to enroll a replica of it.
    ///
    /// - Throws: `AccountProblem.badName`, `.nameTaken`; `StoreError`.
    public func add(name: String, role: Role) throws -> (account: RecordID, code: String) {
        // Format characters too: nobody sees them, and they turn the direction of what follows.
        let hasControls = name.unicodeScalars.contains {
            [.control, .format, .lineSeparator, .paragraphSeparator].contains($0.properties.generalCategory)
        }
        guard (1...64).contains(name.utf8.count), !hasControls, name.first?.isWhitespace == false,
            name.last?.isWhitespace == false
        else { throw AccountProblem.badName }
        let (code, hash) = try drawCode()
        let time = environment.now()
        let salt = environment.randomUInt32()
        let account = try store.addAccount(
            name: name, role: role, salt: salt, code: hash, expires: time + EnrolmentCode.lifetime, time: time)
        return (account, code)
    }

    /// Makes another code for an account. Codes that were handed out before stay good until they expire.
    ///
    /// - Throws: `AccountProblem.unknownAccount`; `StoreError`.
    public func newCode(name: String) throws -> (account: RecordID, code: String) {
        let (code, hash) = try drawCode()
        let account = try store.addCode(hash, account: name, expires: environment.now() + EnrolmentCode.lifetime)
        return (account, code)
    }

    /// Gives all customers of one account to another.
    ///
    /// - Throws: `AccountProblem.unknownAccount`, `.sameAccount`; `StoreError`.
    public func handover(from: String, to: String, isDryRun: Bool) throws -> HandoverReport {
        try store.handover(from: from, to: to, isDryRun: isDryRun, time: environment.now())
    }

    public func list() throws -> [Account] { try store.accounts() }

    /// Enrolls a replica. The same code and key get the same answer until the code expires.
    ///
    /// - Throws: `AccountProblem`; `StoreError`.
    public func enroll(_ request: EnrollRequest) throws -> EnrollResponse {
        guard let code = EnrolmentCode.hash(request.code) else { throw AccountProblem.wrongCode }
        guard let key = BearerKey.hash(request.key) else { throw AccountProblem.badKey }
        return try store.enroll(
            code: code, key: key, former: request.former, formerName: request.name, salt: environment.randomUInt32(),
            time: environment.now())
    }

    /// Whose key this is; nil if nobody's.
    public func credential(key: String) throws -> Credential? {
        guard let hash = BearerKey.hash(key) else { return nil }
        return try store.credential(key: hash)
    }

    private func drawCode() throws -> (code: String, hash: [UInt8]) {
        let code = EnrolmentCode.make(environment.random(EnrolmentCode.randomBytes))
        guard let hash = EnrolmentCode.hash(code) else { throw AccountProblem.wrongCode }
        return (code, hash)
    }
}
