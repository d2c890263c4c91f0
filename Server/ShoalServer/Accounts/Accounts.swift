import ShoalCRDT
import ShoalProtocol

/// Why something about accounts was refused.
public enum AccountProblem: Error, Equatable, Sendable, CustomStringConvertible {
    case badName
    case nameTaken(String)
    case unknownAccount(String)
    /// An account that only a relay knows, and to which nobody has given a role here.
    case noRole(String)
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
    /// The account is disabled.
    case disabled
    /// The device was revoked.
    case revoked
    case unknownDevice(String)
    case badDeviceName
    /// A device that was not revoked hands over nothing: it syncs.
    case notRevoked
    /// Nothing is taken from a device any more.
    case handoverClosed
    case unknownRole
    case unknownSetting(String)
    case badSetting(Setting)
    /// What was asked of the audit is not in form.
    case badQuery(String)
    /// A home of an account that this server does not know, while nobody asked for what replicas held.
    case unknownFormer
    /// A home of an account that is another one's.
    case otherAccount(String)
    /// A home of an account that has another name than the code's.
    case otherName(String, home: String)

    public var description: String {
        switch self {
        case .badName:
            "an account's name has 1 to 64 bytes, no control characters, no spaces at its ends, and is no identifier"
        case .nameTaken(let name): "there is an account \(name) already"
        case .unknownAccount(let name): "there is no account \(name)"
        case .noRole(let name):
            "\(name) is known from a relay only, which gives no role; shoald account add \(name) --role ROLE gives it one, and a code"
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
        case .disabled: "this account is disabled"
        case .revoked: "this device was revoked"
        case .unknownDevice(let replica): "there is no device \(replica)"
        case .badDeviceName: "a device's name has at most 64 bytes, no control characters, and no spaces at its ends"
        case .notRevoked: "this device is not revoked; let it sync"
        case .handoverClosed: "nothing is taken from this device any more"
        case .unknownRole: "the role must be \(Role.allCases.map(\.rawValue).joined(separator: ", "))"
        case .unknownSetting(let name):
            "there is no setting \(name); there are \(Setting.allCases.map(\.rawValue).joined(separator: ", "))"
        case .badQuery(let reason): reason
        case .badSetting(let setting): "\(setting.rawValue) can be \(setting.values.joined(separator: ", "))"
        case .noIdentifiers: "this server has used up all its record identifiers"
        }
    }
}

/// An account as administration lists it.
public struct Account: Equatable, Sendable, Codable {
    /// 13 characters.
    public var id: String
    public var name: String
    /// The least for an account that has none.
    public var role: String
    /// What of it is not this server's own knowledge; nil if nothing.
    public var doubt: Doubt?
    /// How many devices were enrolled, revoked ones too.
    public var replicas: Int
    /// Since when it is disabled, as ISO 8601; nil if it is not.
    public var disabled: String?
    /// Of a disabled one, how many customers it follows and no account that is enabled; nil if it is not disabled.
    public var leftAlone: Int?
    /// When the codes that were not used yet expire, as ISO 8601.
    public var codes: [String]
    public var devices: [Device]

    /// What a server that recovers has by the word of others alone.
    public enum Doubt: String, Sendable, Codable {
        /// That there is such an account: it has no role.
        case relayed
        /// That it had this identifier: its home has said so, and nobody else yet.
        case claimed
    }
}

/// Who sent a request.
public struct Credential: Equatable, Sendable {
    public var account: RecordID
    /// The replica that the device was enrolled as.
    public var replica: ReplicaID
    /// Whether the device may do anything still.
    public var standing = Standing.active
    /// Whether not even its unsent work is taken.
    public var isDiscarded = false
    /// How often its unsent work was handed over to the end: once, and once more for each copy of its home.
    public var handovers = 0

    public enum Standing: Sendable { case active, revoked, disabled }
}

/// Accounts and enrolment.
public struct Accounts: Sendable {
    let store: ServerStore
    let environment: ServerEnvironment

    public init(store: ServerStore, environment: ServerEnvironment) {
        self.store = store
        self.environment = environment
    }

    /// Makes an account and a code to enroll a replica of it.
    ///
    /// - Throws: `AccountProblem.badName`, `.nameTaken` for a name that is equal when folded; `StoreError`.
    public func add(name: String, role: Role) throws -> (account: RecordID, code: String) {
        // Where an account is asked for, its identifier will do too.
        guard Self.isName(name), RecordID(text: name) == nil else { throw AccountProblem.badName }
        let (code, hash) = try drawCode()
        let time = environment.now()
        let account = try store.addAccount(
            name: name, role: role, code: hash, expires: time + EnrolmentCode.lifetime, time: time)
        return (account, code)
    }

    /// Whether accounts and devices may be called so.
    static func isName(_ name: String) -> Bool {
        // Format characters too: nobody sees them, and they turn the direction of what follows.
        let hasControls = name.unicodeScalars.contains {
            [.control, .format, .lineSeparator, .paragraphSeparator].contains($0.properties.generalCategory)
        }
        return (1...64).contains(name.utf8.count) && !hasControls && name.first?.isWhitespace == false
            && name.last?.isWhitespace == false
    }

    /// Makes another code for an account. Codes that were handed out before stay good until they expire.
    ///
    /// - Throws: `AccountProblem.unknownAccount`, `.disabled`; `StoreError`.
    public func newCode(name: String) throws -> (account: RecordID, code: String) {
        let (code, hash) = try drawCode()
        let time = environment.now()
        let account = try store.addCode(hash, account: name, expires: time + EnrolmentCode.lifetime, time: time)
        return (account, code)
    }

    /// Gives all customers of one account to another.
    ///
    /// - Throws: `AccountProblem.unknownAccount`, `.sameAccount`; `StoreError`.
    public func handover(from: String, to: String, isDryRun: Bool) throws -> HandoverReport {
        try store.handover(from: from, to: to, isDryRun: isDryRun, time: environment.now())
    }

    public func list() throws -> [Account] { try store.accounts(time: environment.now()) }

    /// Enrolls a replica. The same code and key get the same answer until the code expires.
    ///
    /// - Throws: `AccountProblem`; `StoreError`.
    public func enroll(_ request: EnrollRequest) throws -> EnrollResponse {
        guard let code = EnrolmentCode.hash(request.code) else { throw AccountProblem.wrongCode }
        guard let key = BearerKey.hash(request.key) else { throw AccountProblem.badKey }
        let device = request.device ?? ""
        guard device.isEmpty || Self.isName(device) else { throw AccountProblem.badDeviceName }
        return try store.enroll(
            code: code, key: key, former: request.former, formerName: request.name, device: device,
            salt: environment.randomUInt32(),
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
