import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

// GRDB has a type of the same name.
import class ShoalStore.Statement

/// What is known of the places that operations had in epochs before this one; SPEC.md §3.5.
///
/// What was written then names other operations by those places. Where copies of a replica were at work, two operations
/// may lay claim to one of them.
struct EarlierPlaces {
    private struct Run {
        var place: FormerPlace
        /// Who says so.
        var account: RecordID
    }

    /// The logs of earlier epochs, and up to where it is sure that what stands there stood there then: their authors
    /// say that it was acknowledged.
    private(set) var sure: [ReplicaID: UInt32] = [:]
    private var runs: [Run] = []

    var isEmpty: Bool { runs.isEmpty }

    /// Whether a place surely means what stands there now. A log that is not here is one of an earlier epoch, of which nothing
    /// is sure.
    func isSure(_ dot: Dot, _ logs: [ReplicaID: LogState]) -> Bool {
        dot.number <= sure[dot.replica] ?? (logs[dot.replica] == nil ? 0 : .max)
    }

    /// Whether whoever names a place surely means what stands there now: nothing else was acknowledged there.
    func isUndisputed(_ dot: Dot, _ logs: [ReplicaID: LogState]) -> Bool {
        isSure(dot, logs) && now(of: dot, logs, isProven: true).isEmpty
    }

    /// Whether a place is in a log of whoever speaks of it, as far as it is known whose that is: it may have become known since.
    private func isOwn(_ dot: Dot, _ run: Run, _ logs: [ReplicaID: LogState]) -> Bool {
        logs[dot.replica].map { $0.account == run.account } ?? true
    }

    /// Where operations stand now that once stood at a place. Where it is sure that what stands there now stood there
    /// then, what was never acknowledged there did not.
    ///
    /// - Parameter isProven: whether only what was acknowledged there is asked for.
    func now(of dot: Dot, _ logs: [ReplicaID: LogState], isProven: Bool = false) -> [Dot] {
        if runs.isEmpty { return [] }
        let isProven = isProven || isSure(dot, logs)
        var places: [Dot] = []
        for run in runs where places.count < Self.mostOfAPlace {
            guard run.place.isProven || !isProven, let now = run.place.now(of: dot),
                logs[now.replica]?.account == run.account, isOwn(dot, run, logs), !places.contains(now)
            else { continue }
            places.append(now)
        }
        return places
    }

    /// Where an operation once stood, as far as nothing else surely did, and whether it was acknowledged there.
    func was(of dot: Dot, _ logs: [ReplicaID: LogState]) -> [(place: Dot, isProven: Bool)] {
        guard !runs.isEmpty, let account = logs[dot.replica]?.account else { return [] }
        return runs.compactMap { run in
            guard run.account == account, let was = run.place.was(of: dot), isOwn(was, run, logs) else { return nil }
            return run.place.isProven || !isSure(was, logs) ? (was, run.place.isProven) : nil
        }
    }

    /// The runs whose operations stand in a log of an account now.
    func runs(in replica: ReplicaID, of account: RecordID) -> [FormerPlace] {
        runs.lazy.filter { $0.account == account && $0.place.now.replica == replica }.map(\.place)
    }

    fileprivate mutating func add(_ place: FormerPlace, account: RecordID) {
        runs.append(Run(place: place, account: account))
    }

    /// How many runs an account may name in all, and how many of them a place may stand in.
    static let mostOfAnAccount = 1_024
    private static let mostOfAPlace = 16

    fileprivate func count(of account: RecordID) -> Int { runs.lazy.filter { $0.account == account }.count }

    fileprivate func has(_ place: FormerPlace, account: RecordID) -> Bool {
        runs.contains { $0.place == place && $0.account == account }
    }

    fileprivate mutating func setSure(_ number: UInt32, of replica: ReplicaID) { sure[replica] = number }
}

/// Their statements, prepared once on the writer connection.
final class EarlierPlaceQueries {
    private let selectSure: Statement
    private let upsertSure: Statement
    private let selectRuns: Statement
    private let insertRun: Statement

    static let schema = [
        // The logs of earlier epochs: up to `sure` what stands there stood there then.
        "CREATE TABLE earlier_log (replica INTEGER PRIMARY KEY, sure INTEGER NOT NULL)",
        // Runs of operations that stood elsewhere in an earlier epoch, and whose replica says so.
        """
        CREATE TABLE former_place (
            was_replica INTEGER NOT NULL, was_number INTEGER NOT NULL, replica INTEGER NOT NULL,
            number INTEGER NOT NULL, count INTEGER NOT NULL, proven INTEGER NOT NULL, account INTEGER NOT NULL,
            PRIMARY KEY (was_replica, was_number, replica, number, count, proven, account)
        ) WITHOUT ROWID
        """,
    ]

    init(_ database: Database) throws(StoreError) {
        selectSure = try Statement(database, "SELECT replica, sure FROM earlier_log")
        upsertSure = try Statement(database, "INSERT OR REPLACE INTO earlier_log (replica, sure) VALUES (?1, ?2)")
        selectRuns = try Statement(
            database, "SELECT was_replica, was_number, replica, number, count, proven, account FROM former_place")
        insertRun = try Statement(
            database,
            """
            INSERT OR IGNORE INTO former_place (was_replica, was_number, replica, number, count, proven, account)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            """)
    }

    func load() throws(StoreError) -> EarlierPlaces {
        var places = EarlierPlaces()
        defer {
            selectSure.reset()
            selectRuns.reset()
        }
        while try selectSure.step() {
            places.setSure(number(selectSure, 1), of: ReplicaID(rawValue: number(selectSure, 0)))
        }
        while try selectRuns.step() {
            places.add(
                FormerPlace(
                    was: dot(selectRuns, 0), now: dot(selectRuns, 2), count: number(selectRuns, 4),
                    isProven: selectRuns.integer(5) != 0),
                account: RecordID(rawValue: selectRuns.integer(6)))
        }
        return places
    }

    private func number(_ statement: Statement, _ column: Int32) -> UInt32 {
        UInt32(truncatingIfNeeded: statement.integer(column))
    }

    private func dot(_ statement: Statement, _ column: Int32) -> Dot {
        Dot(ReplicaID(rawValue: number(statement, column)), number(statement, column + 1))
    }

    func setSure(_ number: UInt32, of replica: ReplicaID) throws(StoreError) {
        try upsertSure.bind(1, Int64(replica.rawValue))
        try upsertSure.bind(2, Int64(number))
        try upsertSure.run()
    }

    func add(_ place: FormerPlace, account: RecordID) throws(StoreError) {
        let numbers = [
            place.was.replica.rawValue, place.was.number, place.now.replica.rawValue, place.now.number, place.count,
        ]
        for (index, number) in numbers.enumerated() { try insertRun.bind(Int32(index + 1), Int64(number)) }
        try insertRun.bind(6, place.isProven ? 1 : 0)
        try insertRun.bind(7, account.rawValue)
        try insertRun.run()
    }
}

extension StoreWriter {
    /// Whether an operation that is named was taken from its log, and surely is the one that was meant.
    func isMeant(_ dot: Dot) -> Bool { isTaken(dot) && state.earlier.isSure(dot, state.logs) }

    /// Whether a log was handed out in this epoch: nobody can have seen more of it than it has brought, so no mark is left for
    /// what it may bring.
    func isOfThisEpoch(_ replica: ReplicaID) -> Bool {
        state.logs[replica] != nil && state.earlier.sure[replica] == nil
    }

    /// Whether a push from another epoch may come from a server that followed this one: it names a log that was handed out in
    /// this epoch, or one that is not known here. This server may have handed that out too, after what it was set back to.
    func hasFollowed(_ push: PreparedPush) -> Bool {
        push.logs.contains { state.logs[$0.replica] == nil || isOfThisEpoch($0.replica) }
    }

    /// From now on all logs that another server may have gone on with are those of an earlier epoch. What was here when the
    /// server started stood there then; what was taken since may have been taken by a server that did not know yet that it was
    /// set back. Of a log that it has handed out since it started no other server has taken anything.
    ///
    /// - Parameter isEnding: whether the epoch ends, so that all logs are of an earlier one.
    func doubtLogs(isEnding: Bool) throws(StoreError) {
        // Of a log of an earlier epoch no more is sure than its author has proven: one server more takes nothing from that.
        for (replica, log) in state.logs where state.earlier.sure[replica] == nil {
            let isHandedOut = positionsAtStart[replica] == nil
            if isHandedOut, !isEnding { continue }
            try setSure(isHandedOut ? log.position : positionsAtStart[replica] ?? 0, of: replica)
        }
    }

    func setSure(_ number: UInt32, of replica: ReplicaID) throws(StoreError) {
        state.earlier.setSure(number, of: replica)
        try places.setSure(number, of: replica)
    }

    /// Takes note of what a replica says of places in earlier epochs. Its push fits the logs.
    func notePlaces(of push: PreparedPush) throws {
        guard state.recovers, !push.proven.isEmpty || !push.former.isEmpty else { return }
        for proven in push.proven {
            guard let log = state.logs[proven.replica], log.account == push.account,
                let sure = state.earlier.sure[proven.replica], sure < proven.number
            else { continue }
            // Only what the push itself shows to be the same log as here.
            guard let named = push.logs.first(where: { $0.replica == proven.replica }) else { continue }
            let shown = named == push.logs.last ? named.position + UInt32(push.operations.count) : named.position
            let number = min(proven.number, shown)
            guard number > sure else { continue }
            try setSure(number, of: proven.replica)
        }
        var isNew = false
        for place in push.former where !state.earlier.has(place, account: push.account) {
            guard state.earlier.count(of: push.account) < EarlierPlaces.mostOfAnAccount else { break }
            // Nobody speaks for the log of another account, nor, while others relay what they held, for one that nobody has
            // named as theirs.
            guard state.logs[place.now.replica]?.account == push.account,
                state.logs[place.was.replica]?.account ?? (state.recovery ? nil : push.account) == push.account
            else { continue }
            state.earlier.add(place, account: push.account)
            try places.add(place, account: push.account)
            isNew = isNew || isTaken(place.now)
        }
        if isNew { try settleMarks() }
    }

    /// Lets marks hold for operations that were taken before it was known where they once stood.
    private func settleMarks() throws {
        var packed: [UInt8] = []
        var place = RecordID(rawValue: 0)
        while let open = try relays.openRecord(after: place) {
            var record = open.record
            let before = viewers(of: record)
            place = record.id
            let marks = Set(record.entries.filter { $0.kind == .deadAhead || $0.kind == .coveredAhead }.map(\.dot))
            let sequence = state.sequence + 1
            var isChanged = false
            let wasPresent = record.isPresent
            for mark in marks.sorted() {
                for now in state.earlier.now(of: mark, state.logs) where isTaken(now) {
                    isChanged = record.takeAhead(of: mark, for: now, sequence: sequence) || isChanged
                }
            }
            guard isChanged else { continue }
            if !wasPresent { record.renumber(sequence: sequence) }
            state.sequence = sequence
            packed.removeAll(keepingCapacity: true)
            record.encode(sequence: sequence, into: &packed)
            try queries.writeRecord(
                record.id, record.envelope, sequence: sequence, packed: packed, isNew: false, wasUnmade: false)
            try queries.appendFeed(record.id, record.envelope, sequence: sequence)
            try noteViewers(of: record, before: before, sequence: sequence)
        }
    }
}
