import Foundation
import ShoalProtocol

/// The matrix workload: a base and an offline day of each account, one flat JSON object a line.
struct Workload {
    /// One line. Text is kept as it was read.
    struct Line {
        enum Kind { case account, tagdef, customer, follow, addtag, rmtag, set, note }
        var kind: Kind
        var account = ""
        var customer = ""
        var tag = ""
        var group = ""
        var field = ""
        var note = ""
        var value = ""
        var name = ""
        var remark = ""
        var source = ""
        var birthMonth = ""
        var skin = ""
        var unionID = ""
        /// Milliseconds since 1970.
        var time: Int64 = 0
    }

    var base: [Line] = []
    /// The days, by account name, in order.
    var days: [(account: String, lines: [Line])] = []

    /// Reads `base.jsonl` and every `day-ACCOUNT.jsonl` of a directory.
    init(directory: String) throws {
        base = try Self.read(directory + "/base.jsonl")
        for file in try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
        where file.hasPrefix("day-") && file.hasSuffix(".jsonl") {
            let account = String(file.dropFirst(4).dropLast(6))
            days.append((account, try Self.read(directory + "/" + file)))
        }
    }

    /// Reads the lines of a file.
    static func read(_ path: String) throws -> [Line] {
        let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        return try bytes.split(separator: UInt8(ascii: "\n")).map { try line(Array($0)) }
    }

    /// Reads one line, without its line feed.
    static func line(_ bytes: [UInt8]) throws -> Line {
        try JSONReader.read(bytes) { reader in
            var line = Line(kind: .account)
            try reader.readObject { reader, key in
                switch key {
                case "op":
                    guard let kind = Line.Kind(try reader.readString()) else {
                        throw reader.error(.invalid("unknown op"))
                    }
                    line.kind = kind
                case "a": line.account = try reader.readString()
                case "c": line.customer = try reader.readString()
                case "tag": line.tag = try reader.readString()
                case "grp": line.group = try reader.readString()
                case "f": line.field = try reader.readString()
                case "n": line.note = try reader.readString()
                case "v": line.value = try reader.readString()
                case "name": line.name = try reader.readString()
                case "remark": line.remark = try reader.readString()
                case "source": line.source = try reader.readString()
                case "birth_month": line.birthMonth = try reader.readString()
                case "skin": line.skin = try reader.readString()
                case "unionid": line.unionID = try reader.readString()
                case "ts": line.time = try reader.readInteger()
                default: try reader.skip()
                }
            }
            return line
        }
    }
}

extension Workload.Line.Kind {
    init?(_ name: String) {
        switch name {
        case "account": self = .account
        case "tagdef": self = .tagdef
        case "customer": self = .customer
        case "follow": self = .follow
        case "addtag": self = .addtag
        case "rmtag": self = .rmtag
        case "set": self = .set
        case "note": self = .note
        default: return nil
        }
    }
}
