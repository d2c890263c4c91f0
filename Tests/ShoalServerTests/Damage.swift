import Foundation
import GRDB
import ShoalCRDT
import ShoalStore

@testable import ShoalServer

/// Damages database files as disks do.
enum Damage: CaseIterable {
    /// One bit of a page.
    case flipped
    /// A page of zeros.
    case zeroed
    /// The file ends before the page.
    case truncated

    private static let page = 4_096

    /// Damages the page on which `text` stands, in a file that nobody has open.
    ///
    /// - Returns: whether it stands anywhere.
    @discardableResult
    func strike(_ path: String, at text: String) throws -> Bool {
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        // Pages that were used for something else before may hold remains of it: a leaf of a table begins with 13.
        var found = bytes.range(of: Data(text.utf8))
        while let place = found, bytes[place.lowerBound / Self.page * Self.page] != 13 {
            found = bytes.range(of: Data(text.utf8), in: place.upperBound..<bytes.endIndex)
        }
        guard let place = found else { return false }
        let start = place.lowerBound / Self.page * Self.page
        switch self {
        case .flipped: bytes[place.lowerBound] ^= 4
        case .zeroed: bytes.replaceSubrange(start..<start + Self.page, with: Data(count: Self.page))
        case .truncated: bytes = bytes.prefix(start)
        }
        try bytes.write(to: URL(fileURLWithPath: path))
        return true
    }
}

extension ServerStore {
    /// Flips a bit in the row of a record, as a disk might, while the server runs.
    func flipBit(of id: RecordID) throws {
        try withWriter { _, database in
            guard var cells = try Data.fetchOne(database, sql: "SELECT cells FROM record WHERE id = \(id.rawValue)")
            else { return }
            cells[cells.count - 2] ^= 1
            try database.execute(
                sql: "UPDATE record SET cells = ? WHERE id = ?", arguments: [cells, id.rawValue])
        }
    }

    func execute(_ sql: String) throws { try withWriter { _, database in try database.execute(sql: sql) } }
}
