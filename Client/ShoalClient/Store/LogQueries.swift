import GRDB
import ShoalCRDT
import ShoalStore

/// What an observer reads of the log.
extension ReplicaStore {
    /// The operations after a position, in order, with their places and hashes.
    func logged(after position: Int64) throws -> LoggedOperations {
        var result = LoggedOperations()
        let statement = try database.cachedStatement(
            sql: "SELECT position, hash, operation FROM log WHERE position > ? ORDER BY position")
        let rows = try Row.fetchCursor(statement, arguments: [position])
        while let row = try rows.next() {
            let place: Int64 = row[0]
            guard let owner = log.logs.owner(of: place) else { continue }
            result.places.append(
                LoggedOperations.Place(
                    position: place, dot: Dot(owner.replica, UInt32(truncatingIfNeeded: place - owner.base)),
                    hash: OperationHash(rawValue: UInt64(bitPattern: row[1]))))
            try row.withUnsafeData(atIndex: 2) { data in
                let bytes = data.map { Array($0) } ?? []
                do { try bytes.withUnsafeBytes { try result.operations.decode($0) } } catch let error as DecodingFailure
                {
                    throw StoreError.damaged(path: "operation \(place) of the log", reason: error.description)
                }
            }
        }
        return result
    }

    /// Where operations stood in earlier epochs, each with its hash.
    func formerPlaces() throws -> [(dot: Dot, hash: OperationHash, isProven: Bool)] {
        var places: [(dot: Dot, hash: OperationHash, isProven: Bool)] = []
        let rows = try Row.fetchCursor(
            database.cachedStatement(
                sql: """
                    SELECT former_place.replica, former_place.number + log.position - former_place.position - 1, log.hash,
                        former_place.proven
                    FROM former_place JOIN log ON log.position > former_place.position
                        AND log.position <= former_place.position + former_place.count
                    """))
        while let row = try rows.next() {
            let replica = ReplicaID(rawValue: UInt32(truncatingIfNeeded: row[0] as Int64))
            places.append(
                (
                    Dot(replica, UInt32(truncatingIfNeeded: row[1] as Int64)),
                    OperationHash(rawValue: UInt64(bitPattern: row[2] as Int64)), row[3]
                ))
        }
        return places
    }
}
