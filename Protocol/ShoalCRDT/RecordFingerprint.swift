/// 128 bits that stand for what a record says, or for a set of records.
///
/// A record's fingerprint covers its identifier, its envelope and its live entries: key, dot, whether it is covered,
/// kind and bytes of the value. It does not cover what differs between sides that agree: marks, absences (collection
/// takes them away), sequences, and times, which the server lowers.
///
/// A set's fingerprint is the sum of its members' modulo 2^128: it can be made in one pass in any order, and parts add
/// up to the whole. Sums rather than exclusive or, because under that 129 records chosen by somebody always contain
/// some whose fingerprints cancel, which linear algebra finds at once; sums have no such shortcut.
public struct RecordFingerprint: Hashable, Sendable {
    /// Modulo 2^128.
    public private(set) var sum: UInt128

    /// Of the empty set.
    public init() { sum = 0 }

    /// Of the set of these bytes alone: SipHash-2-4 under two fixed keys.
    init(_ bytes: UnsafeRawBufferPointer) {
        let high = SipHash.hash(bytes, key: (0x7368_6F61_6C2D_6469, 0x6765_7374_2D68_6967))
        let low = SipHash.hash(bytes, key: (0x7368_6F61_6C2D_6469, 0x6765_7374_2D6C_6F77))
        sum = UInt128(high) << 64 | UInt128(low)
    }

    /// Adds the members of another set that has none of these.
    public mutating func add(_ other: RecordFingerprint) { sum &+= other.sum }

    /// The upper 64 bits: what travels.
    public var short: UInt64 { UInt64(truncatingIfNeeded: sum >> 64) }
}

extension Record {
    /// The record's fingerprint.
    ///
    /// - Parameter scratch: is overwritten; one for many records saves allocations.
    public func fingerprint(scratch: inout [UInt8]) -> RecordFingerprint {
        scratch.removeAll(keepingCapacity: true)
        scratch.appendVarint(UInt64(bitPattern: id.rawValue))
        scratch.appendVarint(UInt64(envelope.kind.rawValue))
        envelope.scope.encode(of: id, into: &scratch)
        for entry in entries where !entry.kind.isMarker && entry.kind != .absent {
            scratch.append(entry.kind.rawValue | (entry.isCovered ? 16 : 0))
            scratch.appendVarint(UInt64(entry.key.field.rawValue) << 2 | UInt64(entry.key.elementKind.rawValue))
            switch entry.key.elementKind {
            case .none: break
            case .id: scratch.appendSigned(entry.key.elementPayload)
            case .text: append(entry.key.elementSlice, toFingerprint: &scratch)
            }
            scratch.appendFixed(entry.dot.replica.rawValue)
            scratch.appendVarint(UInt64(entry.dot.number))
            switch entry.kind {
            case _ where entry.kind.isSlice: append(entry.slice, toFingerprint: &scratch)
            case .integer, .count: scratch.appendSigned(entry.integer)
            default: break
            }
        }
        return scratch.withUnsafeBytes { RecordFingerprint($0) }
    }

    private func append(_ slice: Slice, toFingerprint output: inout [UInt8]) {
        output.appendVarint(UInt64(slice.count))
        output.append(contentsOf: arena[slice.range])
    }
}
