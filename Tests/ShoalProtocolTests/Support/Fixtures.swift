import Foundation
import Testing

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

    /// Writes a file when fixtures are recorded.
    static func record(_ name: String, _ bytes: [UInt8]) throws {
        guard Trial.isRecording else { return }
        let file = folder.appending(path: name)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: file)
    }

    static func record(_ name: String, lines: [String]) throws {
        try record(name, Array((lines.joined(separator: "\n") + "\n").utf8))
    }
}
