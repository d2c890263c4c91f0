import Foundation

/// Why a home takes no commands any more: the server said that its account is disabled or its device revoked.
public struct Lockout: Hashable, Sendable {
    public enum Reason: String, Sendable { case disabled, revoked }

    /// How far the home is.
    public enum Stage: Int64, Sendable {
        /// What the server had not been sent is still here.
        case handingOver = 0
        /// Everything is being removed.
        case wiping = 1
        case wiped = 2
    }

    public var reason: Reason
    /// When the home heard of it, in milliseconds since 1970.
    public var time: Int64
    /// The name of the account that it was.
    public var account: String
    public var server: String
    public var stage = Stage.handingOver
    /// How many changes the server did not take before the home was emptied.
    public var untaken = 0
    /// How many it had refused, and nobody had decided on.
    public var refused = 0

    private var losses: String {
        func count(_ number: Int) -> String { number == 1 ? "1 change" : "\(number) changes" }
        var parts: [String] = []
        if untaken > 0 { parts.append("\(count(untaken)) that the server no longer takes") }
        if refused > 0 { parts.append("\(count(refused)) that it had refused") }
        return parts.isEmpty ? "" : ", with " + parts.joined(separator: " and ")
    }

    /// One sentence for a person.
    func sentence(home: String) -> String {
        let at = Date(timeIntervalSince1970: Double(time) / 1_000).formatted(
            Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        let what =
            switch reason {
            case .disabled: "the account \(account) was disabled on \(server)"
            case .revoked: "this device of \(account) was revoked on \(server)"
            }
        let next =
            switch stage {
            case .handingOver: "what was not sent yet is still here, and shoal sync hands it over"
            case .wiping: "its data is being removed, which the next command finishes"
            case .wiped: "its data was removed\(losses), and shoal enroll begins anew with another code"
            }
        return "\(home) was locked at \(at) because \(what); \(next)"
    }
}

extension Replica {
    /// Why this home takes no commands; nil if it does.
    public func lockout() throws -> Lockout? { try connection.access { try LockoutStore.read($0.database) } }

    /// Locks the home, durably: from then on nothing is written to its log and nothing of it is shown.
    func lockOut(_ reason: Lockout.Reason) throws {
        try connection.access { store in
            try store.transaction(enrolled: false) { try LockoutStore.lock(reason, store) }
        }
    }

    /// Takes the lock back: the server knows nothing of it any more, as when it was set back.
    func unlock() throws {
        try connection.access { store in
            try store.transaction(enrolled: false) { try LockoutStore.unlock(store.database) }
        }
    }

    /// Removes everything from the home, for good. It may be interrupted at any moment and goes on when it is called again,
    /// or when the home is opened.
    func wipe() throws {
        try connection.access { store in try LockoutStore.wipe(store) }
        try environment.homes.removeCopies(home, of: nil)
        try connection.access { store in try LockoutStore.finish(store) }
    }

    /// Goes on with what an earlier program began, and tells where that led.
    ///
    /// - Throws: `ReplicaError.locked`, unless the home was emptied or only still has to hand over and that is allowed.
    func refuseLocked(allowing stage: Lockout.Stage? = nil) throws {
        guard var lockout = try lockout() else { return }
        if lockout.stage == .wiping {
            try wipe()
            lockout.stage = .wiped
        }
        if lockout.stage != stage { throw ReplicaError.locked(home: home, lockout) }
    }
}
