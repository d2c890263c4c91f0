/// A change of a text as one JSON value, which is how it is written in operations, rows and frames (SPEC.md §2.5).
///
///     ["NAMES", item, …]
///     item      parent, side + 2 × offset, content      typed at the current place, which then moves on
///               name, offset, count                     deleted
///               [name, offset]                          sets the current place; at first it is 0, 0
///               [name, offset, replica, time]           the same, of what somebody else wrote before
///     content   "text", or an array of texts and of numbers of deleted characters
///
/// A name is seven digits of base 64 in NAMES and a place in it everywhere else; the parent −1 is the root.
extension TextDelta {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    private static let digitsOfName = 7

    /// Appends the JSON.
    public func encode(into output: inout [UInt8]) {
        output.append(UInt8(ascii: "["))
        output.append(UInt8(ascii: "\""))
        for name in names {
            for digit in 0..<Self.digitsOfName {
                output.append(Self.digits[Int(name.rawValue >> UInt64(6 * (Self.digitsOfName - 1 - digit)) & 63)])
            }
        }
        output.append(UInt8(ascii: "\""))
        var (name, offset) = (0, UInt32(0))
        for run in runs {
            if run.name != name || run.offset != offset || run.origin != nil {
                output.append(contentsOf: ",[".utf8)
                output.appendDecimal(Int64(run.name))
                output.appendNext(Int64(run.offset))
                if let origin = run.origin {
                    output.appendNext(Int64(origin.replica.rawValue))
                    output.appendNext(origin.time)
                }
                output.append(UInt8(ascii: "]"))
            }
            switch run.parent {
            case .root: output.append(contentsOf: ",-1,0".utf8)
            case .character(let parent, let offset):
                output.appendNext(Int64(parent))
                output.appendNext(Int64(offset) * 2 + Int64(run.side.rawValue))
            }
            output.append(UInt8(ascii: ","))
            encodeContent(of: run, into: &output)
            (name, offset) = (run.name, run.offset + count(of: run))
        }
        for deletion in deletions {
            output.appendNext(Int64(deletion.name))
            output.appendNext(Int64(deletion.offset))
            output.appendNext(Int64(deletion.count))
        }
        output.append(UInt8(ascii: "]"))
    }

    private func encodeContent(of run: Run, into output: inout [UInt8]) {
        let content = pieces[run.pieces]
        if let only = content.first, content.count == 1, let text = text(of: only) {
            output.appendJSON(text)
            return
        }
        output.append(UInt8(ascii: "["))
        for (index, piece) in content.enumerated() {
            if index > 0 { output.append(UInt8(ascii: ",")) }
            if let text = text(of: piece) { output.appendJSON(text) } else { output.appendDecimal(Int64(piece.count)) }
        }
        output.append(UInt8(ascii: "]"))
    }
}

extension [UInt8] {
    fileprivate mutating func appendNext(_ value: Int64) {
        append(UInt8(ascii: ","))
        appendDecimal(value)
    }

    fileprivate mutating func appendDecimal(_ value: Int64) {
        if value < 0 { append(UInt8(ascii: "-")) }
        var rest = value.magnitude
        let start = count
        repeat {
            append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        self[start...].reverse()
    }

    /// Appends a JSON string with the fewest escapes.
    fileprivate mutating func appendJSON(_ text: ArraySlice<Unicode.Scalar>) {
        append(UInt8(ascii: "\""))
        for scalar in text {
            switch scalar {
            case "\"", "\\":
                append(UInt8(ascii: "\\"))
                appendUTF8(scalar)
            case "\n": append(contentsOf: "\\n".utf8)
            case "\r": append(contentsOf: "\\r".utf8)
            case "\t": append(contentsOf: "\\t".utf8)
            case _ where scalar.value < 0x20:
                append(contentsOf: "\\u00".utf8)
                append(UInt8(scalar.value >> 4) + 0x30)
                append(UInt8("0123456789abcdef".utf8.map { $0 }[Int(scalar.value & 15)]))
            default: appendUTF8(scalar)
            }
        }
        append(UInt8(ascii: "\""))
    }
}

// MARK: - Reading

extension TextDelta {
    /// Reads a change.
    ///
    /// - Throws: `DecodingFailure` for what is not the form above, in whatever way: numbers beyond 32 bits, offsets that
    ///   overflow, names twice or not there, runs and deletions of nothing, U+0000.
    public init(json bytes: UnsafeRawBufferPointer) throws(DecodingFailure) {
        var reader = TextReader(bytes)
        try reader.expect("[")
        try reader.expect("\"")
        while !reader.takes("\"") { try readName(&reader) }
        // Many names are rare: a whole text's.
        guard names.count < 64 || Set(names).count == names.count else { throw reader.failure(.notCanonical) }
        var place = (name: 0, offset: UInt32(0))
        var origin: Origin?
        while !reader.takes("]") {
            try reader.expect(",")
            if reader.takes("[") {
                (place, origin) = try readPlace(&reader)
                continue
            }
            let first = try reader.number()
            try reader.expect(",")
            let second = try reader.number()
            try reader.expect(",")
            if reader.isAt("\"") || reader.isAt("[") {
                guard place.name < names.count else { throw reader.failure(.outOfRange) }
                try readParent(&reader, first, second, place, origin)
                place.offset += try readContent(&reader, place.offset)
                continue
            }
            let count = try reader.number()
            guard names.indices.contains(Int(first)), let offset = UInt32(exactly: second),
                let count = UInt32(exactly: count), count > 0, !offset.addingReportingOverflow(count).overflow
            else { throw reader.failure(.outOfRange) }
            appendDeletion(Deletion(name: Int(first), offset: offset, count: count))
        }
        guard reader.isAtEnd else { throw reader.failure(.trailingBytes) }
    }

    private mutating func readName(_ reader: inout TextReader) throws(DecodingFailure) {
        var value: UInt64 = 0
        for _ in 0..<Self.digitsOfName {
            let byte = try reader.byte()
            guard let digit = Self.digits.firstIndex(of: byte) else { throw reader.failure(.outOfRange) }
            value = value << 6 | UInt64(digit)
        }
        let name = TextName(rawValue: value)
        guard names.count >= 64 || !names.contains(name) else { throw reader.failure(.notCanonical) }
        _ = addName(name)
    }

    private func readPlace(
        _ reader: inout TextReader
    ) throws(DecodingFailure) -> ((name: Int, offset: UInt32), Origin?) {
        let name = try reader.number()
        try reader.expect(",")
        guard names.indices.contains(Int(name)), let offset = UInt32(exactly: try reader.number()) else {
            throw reader.failure(.outOfRange)
        }
        if reader.takes("]") { return ((Int(name), offset), nil) }
        try reader.expect(",")
        guard let replica = UInt32(exactly: try reader.number()) else { throw reader.failure(.outOfRange) }
        try reader.expect(",")
        let time = try reader.number()
        try reader.expect("]")
        return ((Int(name), offset), Origin(replica: ReplicaID(rawValue: replica), time: time))
    }

    private mutating func readParent(
        _ reader: inout TextReader, _ first: Int64, _ second: Int64, _ place: (name: Int, offset: UInt32),
        _ origin: Origin?
    ) throws(DecodingFailure) {
        if first == -1 {
            guard second == 0 else { throw reader.failure(.outOfRange) }
            begin(name: place.name, offset: place.offset, parent: .root, side: .right, origin: origin)
            return
        }
        guard names.indices.contains(Int(first)), second >= 0, let offset = UInt32(exactly: second >> 1) else {
            throw reader.failure(.outOfRange)
        }
        begin(
            name: place.name, offset: place.offset, parent: .character(name: Int(first), offset: offset),
            side: second & 1 == 0 ? .right : .left, origin: origin)
    }

    /// Reads what was typed and returns how many characters it is.
    private mutating func readContent(_ reader: inout TextReader, _ offset: UInt32) throws(DecodingFailure) -> UInt32 {
        var total: UInt32 = 0
        func add(_ count: UInt32) throws(DecodingFailure) {
            let (sum, isTooLarge) = total.addingReportingOverflow(count)
            guard count > 0, !isTooLarge, !offset.addingReportingOverflow(sum).overflow else {
                throw reader.failure(.outOfRange)
            }
            total = sum
        }
        if reader.takes("\"") {
            try add(try readText(&reader))
            return total
        }
        try reader.expect("[")
        repeat {
            if reader.takes("\"") {
                try add(try readText(&reader))
            } else {
                guard let count = UInt32(exactly: try reader.number()) else { throw reader.failure(.outOfRange) }
                try add(count)
                appendDeleted(count)
            }
        } while reader.takes(",")
        try reader.expect("]")
        return total
    }

    private mutating func readText(_ reader: inout TextReader) throws(DecodingFailure) -> UInt32 {
        let start = scalars.count
        while !reader.takes("\"") { appendScalar(try reader.scalar()) }
        let count = UInt32(scalars.count - start)
        appendPiece(count, text: start)
        return count
    }
}

/// Reads the characters of a change's JSON, with every bound checked.
private struct TextReader {
    let bytes: UnsafeRawBufferPointer
    var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { offset == bytes.count }

    func failure(_ reason: DecodingFailure.Reason) -> DecodingFailure {
        DecodingFailure(offset: offset, reason: reason)
    }

    @inline(__always)
    mutating func byte() throws(DecodingFailure) -> UInt8 {
        guard offset < bytes.count else { throw failure(.truncated) }
        defer { offset += 1 }
        return bytes[offset]
    }

    func isAt(_ character: Unicode.Scalar) -> Bool {
        offset < bytes.count && bytes[offset] == UInt8(truncatingIfNeeded: character.value)
    }

    @inline(__always)
    mutating func takes(_ character: Unicode.Scalar) -> Bool {
        guard isAt(character) else { return false }
        offset += 1
        return true
    }

    mutating func expect(_ character: Unicode.Scalar) throws(DecodingFailure) {
        guard takes(character) else { throw failure(isAtEnd ? .truncated : .notCanonical) }
    }

    /// An integer without leading zeros.
    mutating func number() throws(DecodingFailure) -> Int64 {
        let isNegative = takes("-")
        let start = offset
        var value: Int64 = 0
        // Counted downwards, so that the least number has its place.
        while offset < bytes.count, bytes[offset] >= 0x30, bytes[offset] <= 0x39 {
            let (tenfold, a) = value.multipliedReportingOverflow(by: 10)
            let (sum, b) = tenfold.subtractingReportingOverflow(Int64(bytes[offset] - 0x30))
            guard !a, !b else { throw failure(.outOfRange) }
            value = sum
            offset += 1
        }
        guard offset > start else { throw failure(isAtEnd ? .truncated : .notCanonical) }
        if bytes[start] == 0x30, offset > start + 1 || isNegative { throw failure(.notCanonical) }
        guard isNegative || value > .min else { throw failure(.outOfRange) }
        return isNegative ? value : -value
    }

    /// A character of a string, which has been validated as UTF-8 where it came in.
    @inline(__always)
    mutating func scalar() throws(DecodingFailure) -> Unicode.Scalar {
        let first = try byte()
        if first == UInt8(ascii: "\\") { return try escaped() }
        guard first >= 0x20 else { throw failure(.notCanonical) }
        if first < 0x80 { return Unicode.Scalar(first) }
        return try multibyte(first)
    }

    private mutating func multibyte(_ first: UInt8) throws(DecodingFailure) -> Unicode.Scalar {
        let length = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1
        guard first >= 0xC2, first <= 0xF4 else { throw failure(.outOfRange) }
        var value = UInt32(first) & (length == 1 ? 0x1F : length == 2 ? 0x0F : 0x07)
        for _ in 0..<length {
            let next = try byte()
            guard next & 0xC0 == 0x80 else { throw failure(.outOfRange) }
            value = value << 6 | UInt32(next & 0x3F)
        }
        let least: UInt32 = length == 1 ? 0x80 : length == 2 ? 0x800 : 0x10000
        guard value >= least, let scalar = Unicode.Scalar(value) else { throw failure(.outOfRange) }
        return scalar
    }

    private mutating func escaped() throws(DecodingFailure) -> Unicode.Scalar {
        switch try byte() {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "u"):
            let unit = try hexadecimal()
            if unit == 0 { throw failure(.outOfRange) }
            guard unit & 0xFC00 == 0xD800 else {
                guard let scalar = Unicode.Scalar(unit) else { throw failure(.outOfRange) }
                return scalar
            }
            try expect("\\")
            try expect("u")
            let low = try hexadecimal()
            guard low & 0xFC00 == 0xDC00, let scalar = Unicode.Scalar(0x10000 + (unit & 0x3FF) << 10 + low & 0x3FF)
            else { throw failure(.outOfRange) }
            return scalar
        default: throw failure(.notCanonical)
        }
    }

    private mutating func hexadecimal() throws(DecodingFailure) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            let byte = try byte()
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46: digit = byte - 0x41 + 10
            case 0x61...0x66: digit = byte - 0x61 + 10
            default: throw failure(.notCanonical)
            }
            value = value << 4 | UInt32(digit)
        }
        return value
    }
}
