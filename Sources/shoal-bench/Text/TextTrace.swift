import CZlib
import Foundation
import ShoalProtocol

/// A history of edits of one text, and the text it ends with.
struct TextTrace {
    struct Patch {
        var position: Int
        var deleted: Int
        var inserted: [Unicode.Scalar]
    }

    struct Transaction {
        /// The author's place among all authors, in order.
        var author = 0
        /// The author's first sequence number in it: each character deleted or inserted takes one.
        var sequence: UInt32 = 0
        /// Earlier transactions on whose text this one is made.
        var parents: [Int] = []
        var patches: [Patch] = []
    }

    /// What is known of the end: the text, or its digest.
    enum End {
        case text(String)
        case digest(String)
        case unknown
    }

    var transactions: [Transaction] = []
    var end = End.unknown

    /// Why a file is not a trace.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// Reads a file: one trace, its header first, then a transaction a line; or a case a line, `{"txns":[…],"end":"…"}`.
    /// It may be compressed with gzip.
    static func read(_ path: String) throws -> [TextTrace] {
        let bytes = try contents(path)
        var cases: [TextTrace] = []
        var trace = TextTraceBuilder()
        for (number, line) in bytes.split(separator: 0x0A).enumerated() {
            do {
                guard let whole = try trace.read(line) else { continue }
                cases.append(whole)
            } catch {
                throw Failure(description: "\(path), line \(number + 1): \(error)")
            }
        }
        if let only = try trace.finish() { cases.append(only) }
        guard !cases.isEmpty else { throw Failure(description: "\(path) holds no trace") }
        return cases
    }

    private static func contents(_ path: String) throws -> [UInt8] {
        guard let file = gzopen(path, "rb") else {
            throw Failure(description: "\(path): \(String(cString: strerror(errno)))")
        }
        defer { gzclose(file) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = gzread(file, &part, UInt32(part.count))
            if count < 0 { throw Failure(description: "\(path) is damaged") }
            if count == 0 { return bytes }
            bytes += part[..<Int(count)]
        }
    }
}

/// Puts the lines of a file together.
private struct TextTraceBuilder {
    /// As it stands in the file: authors by name, sequence numbers as far as they are given.
    private struct Raw {
        var agent: Agent = .number(0)
        var sequence: UInt32?
        var parents: [Int]?
        var patches: [TextTrace.Patch] = []
    }

    /// Numbers come before names; those are ordered by their bytes.
    private enum Agent: Hashable, Comparable {
        case number(Int64)
        case name(String)

        static func < (a: Self, b: Self) -> Bool {
            switch (a, b) {
            case (.number(let a), .number(let b)): a < b
            case (.name(let a), .name(let b)): a.utf8.lexicographicallyPrecedes(b.utf8)
            case (.number, .name): true
            case (.name, .number): false
            }
        }
    }

    private var lines: [Raw] = []
    private var end = TextTrace.End.unknown
    private var hasBegun = false

    /// Takes a line; returns a case that is whole with it.
    mutating func read(_ line: ArraySlice<UInt8>) throws -> TextTrace? {
        var raw = Raw()
        var isTransaction = false
        var cases: [Raw]?
        var end = TextTrace.End.unknown
        try JSONReader.read(Array(line)) { reader in
            try reader.readObject { reader, key in
                switch key.string {
                // In a header these are counts.
                case "txns" where try reader.peek() == .number, "patches" where try reader.peek() == .number:
                    try reader.skip()
                case "txns":
                    var all: [Raw] = []
                    try reader.readArray { reader in
                        var raw = Raw()
                        try reader.readObject { try Self.read(&$0, $1.string, &raw) }
                        all.append(raw)
                    }
                    cases = all
                case "end":
                    if try reader.peek() == .string {
                        end = .text(try reader.readString())
                    } else {
                        try reader.readObject { reader, key in
                            if key == "sha256" { end = .digest(try reader.readString()) } else { try reader.skip() }
                        }
                    }
                case let key:
                    if key == "patches" { isTransaction = true }
                    try Self.read(&reader, key, &raw)
                }
            }
        }
        if let cases { return try Self.trace(cases, end) }
        if isTransaction {
            lines.append(raw)
        } else {
            guard !hasBegun else { throw TextTrace.Failure(description: "neither a transaction nor a case") }
            self.end = end
        }
        hasBegun = true
        return nil
    }

    /// The trace of all lines that were transactions, if there were any.
    func finish() throws -> TextTrace? {
        if lines.isEmpty, case .unknown = end { return nil }
        return try Self.trace(lines, end)
    }

    private static func read(_ reader: inout JSONReader, _ key: String, _ raw: inout Raw) throws {
        switch key {
        case "agent":
            raw.agent =
                try reader.peek() == .string ? .name(try reader.readString()) : .number(try reader.readInteger())
        case "seq": raw.sequence = try reader.readUInt32()
        case "parents":
            var parents: [Int] = []
            try reader.readArray { parents.append(Int(try $0.readUInt32())) }
            raw.parents = parents
        case "patches":
            try reader.readArray { reader in
                var place = 0
                var patch = TextTrace.Patch(position: 0, deleted: 0, inserted: [])
                try reader.readArray { reader in
                    switch place {
                    case 0: patch.position = Int(try reader.readUInt32())
                    case 1: patch.deleted = Int(try reader.readUInt32())
                    case 2: patch.inserted = Array(try reader.readString().unicodeScalars)
                    default: throw TextTrace.Failure(description: "a patch has three parts")
                    }
                    place += 1
                }
                guard place == 3 else { throw TextTrace.Failure(description: "a patch has three parts") }
                raw.patches.append(patch)
            }
        default: try reader.skip()
        }
    }

    private static func trace(_ lines: [Raw], _ end: TextTrace.End) throws -> TextTrace {
        let agents = Set(lines.map(\.agent)).sorted()
        var places: [Agent: Int] = [:]
        for (place, agent) in agents.enumerated() { places[agent] = place }
        var next = [UInt32](repeating: 0, count: agents.count)
        var trace = TextTrace(end: end)
        for (index, line) in lines.enumerated() {
            let author = places[line.agent] ?? 0
            let parents = line.parents ?? (index > 0 ? [index - 1] : [])
            guard parents.allSatisfy({ $0 < index }) else {
                throw TextTrace.Failure(description: "transaction \(index) has a parent that is not before it")
            }
            let sequence = line.sequence ?? next[author]
            let length = line.patches.reduce(0) { $0 + $1.deleted + $1.inserted.count }
            guard let length = UInt32(exactly: length), !sequence.addingReportingOverflow(length).overflow else {
                throw TextTrace.Failure(description: "transaction \(index) is too long")
            }
            next[author] = max(next[author], sequence + length)
            trace.transactions.append(
                TextTrace.Transaction(author: author, sequence: sequence, parents: parents, patches: line.patches))
        }
        return trace
    }
}
