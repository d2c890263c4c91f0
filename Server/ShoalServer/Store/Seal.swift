import Crypto
import ShoalCRDT
import ShoalProtocol

/// A commit of this server: its sequence and the random tag that it drew.
///
/// Whoever presents a sealed mark whose tag this server does not know proves that the server lost that commit.
public struct CommitMark: Hashable, Sendable {
    var sequence: Int64
    var tag: UInt32
}

/// Where a replica stands in the server's sequence. Opaque to the replica.
struct Cursor: Hashable, Sendable {
    /// How far something of several pages is.
    struct Place: Hashable, Sendable {
        /// The scope under way; nil in a fill with everything, which goes by ascending identifier.
        var scope: Int64?
        /// The last record that was sent; 0 before the first, `done` after the last one of the scope.
        var record: Int64

        static let done = Int64.max
    }

    /// Everything up to here was sent. During a fill: where it is pinned, so where the changes go on afterwards. During a
    /// move: the sequence of that move, which is under way.
    var sequence: Int64
    /// The commit whose state was read.
    var commit: CommitMark
    /// The replica has everything up to here: the end of its last whole pull, or where its fill was pinned.
    ///
    /// It decides which cells of a changed record are sent. `sequence` would not do: while a pull of several pages is
    /// under way, a record that was passed over because it changes again later still owes its earlier changes.
    var floor: Int64
    /// Whether the replica was ever sent the positions of all logs; those that moved after `floor` then suffice.
    var hasPositions: Bool
    /// A fill: whole records, of the account's scopes one after the other.
    var fill: Place?
    /// What entered or left the account's view with the change `sequence`, and how far that was told.
    var move: Place?
}

/// Makes and opens the opaque tokens: payload and 8 bytes of HMAC-SHA256 in base64url.
///
/// The MAC covers the epoch and the account too, so that a token of another server, epoch or account does not open.
struct Seal: Sendable {
    static let keyLength = 32
    private static let macLength = 8
    private enum Purpose: UInt8 { case cursor = 1, acknowledgement = 2, erasure = 3 }
    private let key: SymmetricKey
    private let epoch: UInt64

    init(key: [UInt8], epoch: UInt64) {
        self.key = SymmetricKey(data: key)
        self.epoch = epoch
    }

    private init(key: SymmetricKey, epoch: UInt64) {
        self.key = key
        self.epoch = epoch
    }

    /// The same key in another epoch.
    func of(epoch: UInt64) -> Seal { Seal(key: key, epoch: epoch) }

    func close(_ mark: CommitMark, for account: RecordID) -> String {
        var payload: [UInt8] = []
        payload.append(varint: UInt64(bitPattern: mark.sequence))
        payload.append(fixed: mark.tag)
        return close(payload, .acknowledgement, account)
    }

    func close(_ cursor: Cursor, for account: RecordID) -> String {
        var payload: [UInt8] = []
        payload.append(varint: UInt64(bitPattern: cursor.commit.sequence))
        payload.append(fixed: cursor.commit.tag)
        payload.append(varint: UInt64(bitPattern: cursor.commit.sequence - cursor.sequence))
        let floor = UInt64(bitPattern: cursor.commit.sequence - cursor.floor)
        payload.append(varint: floor << 1 | (cursor.hasPositions ? 0 : 1))
        if let place = cursor.fill ?? cursor.move {
            payload.append(varint: UInt64(bitPattern: place.record))
            if let scope = place.scope { payload.append(varint: UInt64(bitPattern: scope)) }
            if cursor.fill == nil { payload.append(varint: 1) }
        }
        return close(payload, .cursor, account)
    }

    /// Proves to this server, in whatever epoch and to whichever account it was told, that it erased a person.
    func proof(ofErasing person: RecordID) -> String {
        var payload: [UInt8] = []
        payload.append(varint: UInt64(bitPattern: person.rawValue))
        return of(epoch: 0).close(payload, .erasure, StoreWriter.serverAccount)
    }

    /// Whether this server has erased the person that an erasure names.
    func proves(_ erasure: Erasure) -> Bool {
        guard let payload = of(epoch: 0).open(erasure.proof, .erasure, StoreWriter.serverAccount) else { return false }
        var reader = TokenReader(payload)
        return reader.varint() == erasure.person.rawValue && reader.isAtEnd
    }

    /// The mark, or nil when this server did not make the token for that account.
    func acknowledgement(_ text: String, for account: RecordID) -> CommitMark? {
        guard let payload = open(text, .acknowledgement, account) else { return nil }
        var reader = TokenReader(payload)
        guard let sequence = reader.varint(), let tag = reader.fixed(), reader.isAtEnd else { return nil }
        return CommitMark(sequence: sequence, tag: tag)
    }

    /// The cursor, or nil when this server did not make the token for that account.
    func cursor(_ text: String, for account: RecordID) -> Cursor? {
        guard let payload = open(text, .cursor, account) else { return nil }
        var reader = TokenReader(payload)
        guard let commit = reader.varint(), let tag = reader.fixed(), let below = reader.varint(),
            let floor = reader.varint()
        else { return nil }
        var cursor = Cursor(
            sequence: commit - below, commit: CommitMark(sequence: commit, tag: tag), floor: commit - floor >> 1,
            hasPositions: floor & 1 == 0)
        if !reader.isAtEnd {
            guard let record = reader.varint() else { return nil }
            var place = Cursor.Place(scope: nil, record: record)
            if !reader.isAtEnd {
                guard let scope = reader.varint() else { return nil }
                place.scope = scope
            }
            if reader.isAtEnd {
                cursor.fill = place
            } else {
                guard reader.varint() == 1, reader.isAtEnd else { return nil }
                cursor.move = place
            }
        }
        return cursor
    }

    private func close(_ payload: [UInt8], _ purpose: Purpose, _ account: RecordID) -> String {
        Base64URL.encode(payload + mac(payload[...], purpose, account))
    }

    private func open(_ text: String, _ purpose: Purpose, _ account: RecordID) -> ArraySlice<UInt8>? {
        guard text.utf8.count <= 128, let bytes = Base64URL.decode(text), bytes.count > Self.macLength else {
            return nil
        }
        let payload = bytes.dropLast(Self.macLength)
        guard isEqualInConstantTime(mac(payload, purpose, account), Array(bytes.suffix(Self.macLength))) else {
            return nil
        }
        return payload
    }

    private func mac(_ payload: ArraySlice<UInt8>, _ purpose: Purpose, _ account: RecordID) -> [UInt8] {
        var input: [UInt8] = [purpose.rawValue]
        input.append(fixed: UInt32(truncatingIfNeeded: epoch))
        input.append(fixed: UInt32(truncatingIfNeeded: epoch >> 32))
        input.append(fixed: UInt32(truncatingIfNeeded: account.rawValue))
        input.append(fixed: UInt32(truncatingIfNeeded: account.rawValue >> 32))
        input.append(contentsOf: payload)
        return Array(HMAC<SHA256>.authenticationCode(for: input, using: key).prefix(Self.macLength))
    }
}

/// Compares secrets without telling by the time taken where they differ.
func isEqualInConstantTime(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for index in a.indices { difference |= a[index] ^ b[index] }
    return difference == 0
}

extension [UInt8] {
    fileprivate mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    fileprivate mutating func append(fixed value: UInt32) {
        for shift in stride(from: UInt32(0), to: 32, by: 8) { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
}

/// Reads the payload of a token whose MAC was right; nil where it is not in form.
private struct TokenReader {
    private var rest: ArraySlice<UInt8>
    init(_ payload: ArraySlice<UInt8>) { rest = payload }
    var isAtEnd: Bool { rest.isEmpty }

    mutating func varint() -> Int64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 63, by: 7) {
            guard let byte = rest.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return Int64(exactly: value) }
        }
        return nil
    }

    mutating func fixed() -> UInt32? {
        guard rest.count >= 4 else { return nil }
        return (0..<4).reduce(0) { value, index in value | UInt32(rest.popFirst() ?? 0) << UInt32(8 * index) }
    }
}
