import GRDB
import ShoalCRDT
import ShoalProtocol

/// Where operations of this replica stood in earlier epochs of the server that stand elsewhere now; SPEC.md §3.5.
enum FormerPlaceStore {
    /// Operations after each of these positions stood at other places, those in a log as it was.
    static func add(_ log: OwnLog, _ positions: Range<Int64>, isProven: Bool, _ database: Database) throws {
        if positions.isEmpty { return }
        try database.execute(
            sql: "INSERT INTO former_place (position, count, replica, number, proven) VALUES (?, ?, ?, ?, ?)",
            arguments: [
                positions.lowerBound, Int64(positions.count), Int64(log.replica.rawValue),
                positions.lowerBound + 1 - log.base, isProven,
            ])
    }

    /// The logs in which they stood.
    static func replicas(_ database: Database) throws -> Set<ReplicaID> {
        try Set(
            Int64.fetchAll(database, sql: "SELECT DISTINCT replica FROM former_place").map {
                ReplicaID(rawValue: UInt32(truncatingIfNeeded: $0))
            })
    }

    /// The newest runs, each with its place now.
    static func read(_ logs: [OwnLog], _ database: Database) throws -> [FormerPlace] {
        var places: [FormerPlace] = []
        let rows = try Row.fetchCursor(
            database, sql: "SELECT position, count, replica, number, proven FROM former_place ORDER BY id DESC")
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
                        count: UInt32(truncatingIfNeeded: last - position), isProven: row["proven"]))
                position = last
            }
        }
        return places
    }
}
