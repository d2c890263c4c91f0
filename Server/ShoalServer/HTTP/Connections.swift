import NIOCore
import Synchronization

/// The connections from the network: how many there are, of whom, and what each waits for.
///
/// When there is no room for another, one that the server waits for goes: first of those that never showed a key, then of
/// the others, the one that has been silent longest. One whose request is being answered stays; if all are, the
/// newcomer goes. `sweep` closes those on which no request was completed in time, whatever layer keeps dripping bytes:
/// handshake, header, or frames of HTTP/2.
final class Connections: Sendable {
    struct Bounds: Sendable {
        var total = 2_048
        var perAddress = 256
    }

    private struct Entry {
        var channel: any Channel
        var address: PeerAddress
        /// Since when it has waited: when it began, or its last answer ended.
        var since: NIODeadline
        /// The order of `since`, where clocks are too coarse.
        var turn: UInt64
        /// Whether somebody handles it. One that is closed while it is still being set up takes the process with it: what wraps
        /// its channel must be used once.
        var isHandled = false
        /// Whether it ever showed a key that is a replica's.
        var isKnown = false
        /// Requests whose header has come and whose answer has not ended; of these, those that have come whole.
        var underWay = 0
        var answering = 0
    }

    private struct State {
        var entries: [ObjectIdentifier: Entry] = [:]
        var perAddress: [PeerAddress: Int] = [:]
        var turn: UInt64 = 0
        /// Those that are to be closed as soon as somebody handles them.
        var refused: Set<ObjectIdentifier> = []

        /// Forgets a connection.
        ///
        /// - Returns: its channel if it can be closed now.
        mutating func remove(_ id: ObjectIdentifier) -> (any Channel)? {
            guard let entry = entries.removeValue(forKey: id) else { return nil }
            let left = perAddress[entry.address, default: 1] - 1
            perAddress[entry.address] = left > 0 ? left : nil
            if entry.isHandled { return entry.channel }
            refused.insert(id)
            return nil
        }

        /// The connection that goes first.
        func victim(of address: PeerAddress?) -> ObjectIdentifier? {
            entries.lazy.filter { $0.value.answering == 0 && (address == nil || $0.value.address == address) }
                .min { ($0.value.isKnown ? 1 : 0, $0.value.turn) < ($1.value.isKnown ? 1 : 0, $1.value.turn) }?.key
        }
    }

    private let bounds: Bounds
    private let state = Mutex(State())

    init(_ bounds: Bounds) { self.bounds = bounds }

    var count: Int { state.withLock { $0.entries.count } }

    /// Takes a new connection, and closes another or this one when there is no room.
    func admit(_ channel: any Channel) {
        let id = ObjectIdentifier(channel)
        let address = PeerAddress(channel.remoteAddress)
        let victim: (any Channel)? = state.withLock { state in
            var victim: (any Channel)?
            let isCrowded = state.perAddress[address, default: 0] >= bounds.perAddress
            if isCrowded || state.entries.count >= bounds.total {
                guard let first = state.victim(of: isCrowded ? address : nil) else {
                    state.refused.insert(id)
                    return nil
                }
                victim = state.remove(first)
            }
            state.turn += 1
            state.entries[id] = Entry(channel: channel, address: address, since: .now(), turn: state.turn)
            state.perAddress[address, default: 0] += 1
            return victim
        }
        victim?.close(promise: nil)
        channel.closeFuture.whenComplete { [weak self] _ in
            self?.state.withLock { state in
                _ = state.remove(id)
                state.refused.remove(id)
            }
        }
    }

    /// The connection is set up, and from now on it may be closed.
    func handled(_ channel: any Channel) {
        let isRefused = state.withLock { state in
            state.entries[ObjectIdentifier(channel)]?.isHandled = true
            return state.refused.remove(ObjectIdentifier(channel)) != nil
        }
        if isRefused { channel.close(promise: nil) }
    }

    /// Whether the channel is a connection here, rather than a stream in one.
    func holds(_ channel: any Channel) -> Bool { state.withLock { $0.entries[ObjectIdentifier(channel)] != nil } }

    /// The header of a request has come.
    func began(_ channel: any Channel) { update(channel) { entry, _ in entry.underWay += 1 } }

    /// The request has come whole.
    func received(_ channel: any Channel) { update(channel) { entry, _ in entry.answering += 1 } }

    /// Its answer has ended.
    func ended(_ channel: any Channel, wasReceived: Bool) {
        update(channel) { entry, turn in
            entry.underWay -= 1
            if wasReceived { entry.answering -= 1 }
            entry.since = .now()
            entry.turn = turn
        }
    }

    /// Its sender showed a replica's key.
    func know(_ channel: any Channel) { update(channel) { entry, _ in entry.isKnown = true } }

    private func update(_ channel: any Channel, _ body: (inout Entry, UInt64) -> Void) {
        // A stream of HTTP/2 counts for its connection.
        let ids = [ObjectIdentifier(channel)] + (channel.parent.map { [ObjectIdentifier($0)] } ?? [])
        state.withLock { state in
            guard let id = ids.first(where: { state.entries[$0] != nil }), var entry = state.entries[id] else { return }
            state.turn += 1
            body(&entry, state.turn)
            state.entries[id] = entry
        }
    }

    /// Closes the connections on which nothing has been under way for as long as `limit`.
    func sweep(limit: TimeAmount, now: NIODeadline) {
        let late: [any Channel] = state.withLock { state in
            let ids = state.entries.filter {
                $0.value.isHandled && $0.value.underWay == 0 && now - $0.value.since >= limit
            }.map(\.key)
            return ids.compactMap { state.remove($0) }
        }
        for channel in late { channel.close(promise: nil) }
    }
}

/// Whom a connection is counted for: an IPv4 address, or the network of 64 bits that an IPv6 address is in.
struct PeerAddress: Hashable, Sendable {
    private var high: UInt64
    private var low: UInt64

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    init(_ address: SocketAddress?) {
        switch address {
        case .v4(let address):
            self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(UInt32(bigEndian: address.address.sin_addr.s_addr)))
        case .v6(let address):
            let words = withUnsafeBytes(of: address.address.sin6_addr) { bytes in
                (
                    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                )
            }
            // An IPv4 address that came over a socket of IPv6.
            let isMapped = words.0 == 0 && words.1 >> 32 == 0xFFFF
            self.init(high: words.0, low: isMapped ? words.1 : 0)
        default: self.init(high: 0, low: 0)
        }
    }
}
