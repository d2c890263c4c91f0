import ShoalProtocol

/// The body of `POST /v1/accounts/change`: what becomes of an account.
public struct AccountChange: Codable, Sendable {
    public var name: String
    /// Whether it is disabled from now on; nil leaves that as it is.
    public var isDisabled: Bool?
    /// `expert`, `sales` or `supervisor`; nil leaves it as it is.
    public var role: String?
    public init(name: String, isDisabled: Bool? = nil, role: Role? = nil) {
        self.name = name
        self.isDisabled = isDisabled
        self.role = role?.rawValue
    }
}

/// The body of `POST /v1/devices`.
public struct DeviceListing: Codable, Sendable {
    /// A name; nil for the devices of all accounts.
    public var account: String?
    public init(account: String?) { self.account = account }
}

/// The body of `POST /v1/devices/change`: what becomes of a device.
public struct DeviceChange: Codable, Sendable {
    /// Any of its replicas, 8 hexadecimal digits.
    public var replica: String
    /// Its new name; nil leaves it as it is.
    public var name: String?
    /// Whether it is revoked from now on.
    public var revokes: Bool
    /// Whether, being revoked, not even its unsent work is taken.
    public var discards: Bool
    public init(replica: String, name: String? = nil, revokes: Bool = false, discards: Bool = false) {
        self.replica = replica
        self.name = name
        self.revokes = revokes
        self.discards = discards
    }
}

/// The body of `POST /v1/settings`.
public struct NewSetting: Codable, Sendable {
    public var name: String
    public var value: String
    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

extension Accounts {
    /// - Throws: `AccountProblem.unknownAccount`, `.unknownRole`; `StoreError`.
    public func change(_ change: AccountChange) throws {
        if let name = change.role {
            guard let role = Role(rawValue: name) else { throw AccountProblem.unknownRole }
            try setRole(role, name: change.name)
        }
        if let isDisabled = change.isDisabled { try setDisabled(isDisabled, name: change.name) }
    }

    /// - Throws: `AccountProblem.unknownDevice`, `.badDeviceName`; `StoreError`.
    public func change(_ change: DeviceChange) throws {
        if let name = change.name { try rename(device: change.replica, to: name) }
        if change.revokes { try revoke(device: change.replica, discards: change.discards) }
    }
}
