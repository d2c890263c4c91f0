import Foundation
import Testing

@testable import ShoalProtocol

/// The files of `Protocol/Fixtures`.
enum Fixtures {
    static let protocolFolder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Protocol")
    static let folder = protocolFolder.appending(path: "Fixtures")

    static func read(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: folder.appending(path: name))) }

    static func text(_ name: String) throws -> String { String(decoding: try read(name), as: UTF8.self) }

    static func names(in part: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.appending(path: part).path()).sorted()
    }

    /// What an earlier version wrote, as this version writes it.
    static func written(_ json: [UInt8]) -> [UInt8] {
        for version in 1..<ProtocolVersion.current {
            let first = Array(#"{"protocol":\#(version),"#.utf8)
            guard json.starts(with: first) else { continue }
            return Array(#"{"protocol":\#(ProtocolVersion.current),"#.utf8) + json.dropFirst(first.count)
        }
        return json
    }

    /// Writes a file when fixtures are recorded. A frame that is there was frozen with its version.
    static func record(_ name: String, _ bytes: [UInt8]) throws {
        guard Trial.isRecording else { return }
        let file = folder.appending(path: name)
        if name.hasPrefix("v1/"), FileManager.default.fileExists(atPath: file.path()) { return }
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: file)
    }

    static func record(_ name: String, lines: [String]) throws {
        try record(name, Array((lines.joined(separator: "\n") + "\n").utf8))
    }
}
