import Foundation
import ShoalStore

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

    /// The same on a disk that may be full: what copies of the data take is given up for it.
    ///
    /// - Returns: what could not be written down even then.
    func lockOutMakingRoom(_ reason: Lockout.Reason) throws -> Lockout? {
        do { try lockOut(reason) } catch StoreError.full {
            try removeCopies()
            do { try lockOut(reason) } catch StoreError.full {
                return try connection.access { LockoutStore.lockout(reason, $0) }
            }
        }
        return nil
    }

    /// Takes the lock back: the server knows nothing of it any more, as when it was set back.
    func unlock() throws {
        try connection.access { store in
            try store.transaction(enrolled: false) { try LockoutStore.unlock(store.database) }
        }
    }

    /// Removes everything from the home, for good. It may be interrupted at any moment and goes on when it is called again,
    /// or when the home is opened.
    ///
    /// Emptying needs room for a log of what is emptied. Without it the files are removed instead, with zeros written over
    /// them, and a new home says why; on a disk that has no room for that either it is one that nobody enrolled.
    ///
    /// - Parameters:
    ///   - unwritten: why, if the home has no room to say so.
    ///   - isDelivered: whether the server has all that was not sent, which the home had no room to note.
    /// - Throws: `ReplicaError.locked` once the files are removed; this replica is closed then.
    func wipe(_ unwritten: Lockout? = nil, isDelivered: Bool = false) throws {
        let known = try lockout() ?? unwritten
        guard var lockout = try known.map({ known in try connection.access { LockoutStore.counting(known, $0) } })
        else {
            return
        }
        if isDelivered { lockout.untaken = 0 }
        try removeCopies()
        do {
            if unwritten != nil { throw StoreError.full(path: home) }
            try connection.access { try LockoutStore.wipe($0, lockout) }
            do { try connection.access { try $0.scrub() } } catch StoreError.full {
                // There are zeros in it where rows were, and no room to write it anew without them.
                try connection.access { store in try store.maintaining { try store.emptyLog() } }
            }
            try connection.access { store in try LockoutStore.finish(store) }
        } catch StoreError.full {
            try connection.remove()
            lockout.stage = .wiped
            do { try Self.leaveWord(lockout, home, environment, options) } catch {
                do { try environment.homes.removeDatabase(home) } catch {}
            }
            throw ReplicaError.locked(home: home, lockout)
        }
    }

    /// Removes what there is of the data beside the database.
    private func removeCopies() throws { try environment.homes.removeCopies(home, of: nil) }

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
