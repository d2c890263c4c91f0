import GRDB
import ShoalCRDT
import ShoalProtocol

/// Where operations of this replica stood in earlier epochs of the server that stand elsewhere now; SPEC.md §3.5.
enum FormerPlaceStore {
    /// Operations after a position stood at `dot` and the places that follow it.
    static func add(_ dot: Dot, after position: Int64, count: UInt32, _ database: Database) throws {
        try database.execute(
            sql: "INSERT INTO former_place (position, count, replica, number) VALUES (?, ?, ?, ?)",
            arguments: [position, Int64(count), Int64(dot.replica.rawValue), Int64(dot.number)])
    }

    /// The newest runs, each with its place now.
    static func read(_ logs: [OwnLog], _ database: Database) throws -> [FormerPlace] {
        var places: [FormerPlace] = []
        let rows = try Row.fetchCursor(
            database, sql: "SELECT position, count, replica, number FROM former_place ORDER BY id DESC")
        while let row = try rows.next() {
            var position: Int64 = row["position"]
            let end = position + (row["count"] as Int64)
            let base = position + 1 - (row["number"] as Int64)
            let replica = ReplicaID(rawValue: UInt32(truncatingIfNeeded: row["replica"] as Int64))
            while position < end, let log = logs.last(where: { $0.start <= position && $0.endPosition > position }) {
                if places.count == Limits.formerPlaces { return places }
                let last = min(end, log.endPosition)
                places.append(
                    FormerPlace(
                        was: Dot(replica, UInt32(truncatingIfNeeded: position + 1 - base)),
                        now: Dot(log.replica, UInt32(truncatingIfNeeded: position + 1 - log.base)),
                        count: UInt32(truncatingIfNeeded: last - position)))
                position = last
            }
        }
        return places
    }
}
