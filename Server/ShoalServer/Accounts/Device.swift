import Foundation
import ShoalCRDT
import ShoalProtocol

/// A device of an account: one enrolment and its key. Its home may write several logs in turn, as after a fork.
public struct Device: Equatable, Sendable, Codable {
    /// The replica that it was enrolled as, 8 hexadecimal digits.
    public var replica: String
    /// Empty if nobody gave it one.
    public var name: String
    /// When, as ISO 8601.
    public var enrolled: String
    /// All replicas that it ever was, the first of them `replica`.
    public var replicas: [String]
    public var state: State
    /// Since when it is revoked, as ISO 8601.
    public var revoked: String?

    /// Whether it may do anything, and what is still expected of it.
    public enum State: String, Sendable, Codable {
        case active
        /// It locks and wipes itself when it hears of it, and its unsent work is still taken.
        case revoked
        /// Its unsent work was taken to the end.
        case handedOver = "handed-over"
        /// It was revoked and nothing more is taken from it.
        case discarded
    }
}

/// A setting of the workspace as administration lists it.
public struct SettingValue: Equatable, Sendable, Codable {
    public var name: String
    public var value: String
    /// What it could be.
    public var values: [String]
}

/// Times as administration prints them.
enum PlainTime {
    /// ISO 8601 in UTC with milliseconds.
    static func text(_ milliseconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(milliseconds) / 1_000).formatted(
            Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}

/// What a person may do about accounts that are there, their devices and the workspace.
extension Accounts {
    /// Disables an account and revokes its devices, or lets new ones be enrolled again.
    ///
    /// - Throws: `AccountProblem.unknownAccount`; `StoreError`.
    public func setDisabled(_ isDisabled: Bool, name: String) throws {
        if isDisabled {
            try store.disable(name, time: environment.now())
        } else {
            try store.enable(name, time: environment.now())
        }
    }

    /// Gives an account another role; replicas hear of it with their next pull.
    ///
    /// - Throws: `AccountProblem.unknownAccount`; `StoreError`.
    public func setRole(_ role: Role, name: String) throws {
        try store.setRole(role, of: name, salt: environment.randomUInt32(), time: environment.now())
    }

    /// Takes back the codes of an account that nobody has used yet.
    ///
    /// - Returns: how many there were.
    /// - Throws: `AccountProblem.unknownAccount`; `StoreError`.
    public func cancelCodes(name: String) throws -> Int { try store.cancelCodes(of: name, time: environment.now()) }

    /// - Parameter name: nil for those of all accounts.
    /// - Throws: `AccountProblem.unknownAccount`; `StoreError`.
    public func devices(of name: String? = nil) throws -> [Device] { try store.devices(of: name) }

    /// - Parameter replica: any of the device's replicas.
    /// - Throws: `AccountProblem.unknownDevice`, `.badDeviceName`; `StoreError`.
    public func rename(device replica: String, to name: String) throws {
        guard Self.isName(name) else { throw AccountProblem.badDeviceName }
        try store.rename(device: replica, to: name, time: environment.now())
    }

    /// Revokes a device: from now on every request of it is refused, but that by which it hands over its unsent work.
    ///
    /// - Parameters:
    ///   - replica: any of the device's replicas.
    ///   - discards: whether not even that is taken.
    /// - Throws: `AccountProblem.unknownDevice`; `StoreError`.
    public func revoke(device replica: String, discards: Bool) throws {
        try store.revoke(device: replica, discards: discards, time: environment.now())
    }

    public func settings() throws -> [SettingValue] { try store.settings() }

    /// - Throws: `AccountProblem.unknownSetting`, `.badSetting`; `StoreError`.
    public func set(_ name: String, to value: String) throws {
        guard let setting = Setting(rawValue: name) else { throw AccountProblem.unknownSetting(name) }
        guard setting.values.contains(value) else { throw AccountProblem.badSetting(setting) }
        try store.set(setting, to: value, salt: environment.randomUInt32(), time: environment.now())
    }
}
