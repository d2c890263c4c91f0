import ShoalCRDT

/// The server's records as an answer to a digest needs them, all from one state of the database.
public protocol DigestRecords: DigestSource {
    /// The record if it is present and not left out.
    func record(_ id: RecordID) throws -> Record?
    /// Whether the record is left out; neither side may conclude anything about it.
    func isOmitted(_ id: RecordID) -> Bool
}

/// The server's half of anti-entropy, without I/O: it keeps nothing between two requests.
public enum DigestResponder {
    /// A replica's list is answered with records as long as the server has no more than this in its range.
    static let mostCompared = 64

    /// Says of every range about which the sides disagree what the server has, and sends what the replica lacks.
    ///
    /// - Parameters:
    ///   - budget: the weight in bytes at which the page is closed; it holds at least one record.
    /// - Returns: an answer without `seen` and `omitted`, which are the caller's.
    public static func respond(
        to request: DigestRequest, _ records: some DigestRecords, budget: Int = Limits.page
    ) throws -> DigestResponse {
        var response = DigestResponse()
        // A request may name a record twice, wanted and in a range.
        var sent: Set<RecordID> = []
        // First, so that every answer has at least one of them.
        for id in request.wanted where !records.isOmitted(id) {
            guard let record = try records.record(id) else {
                response.gone.append(id)
                continue
            }
            if response.page.weight >= budget { break }
            response.page.append(record)
            sent.insert(id)
        }
        for said in request.ranges {
            switch said.content {
            case .print(let print):
                let own = try Reconciliation.Division(said.range, records)
                if own.sum.short != print { response.ranges += own.said }
            case .list(let theirs):
                let own = try Reconciliation.Division(said.range, records, limit: mostCompared)
                guard let list = own.records else {
                    response.ranges += own.said
                    continue
                }
                if try !compare(list, theirs, records, budget, sent, &response) {
                    response.ranges.append(DigestRange(said.range, .list(list)))
                }
            }
        }
        response.gone.sort()
        return response
    }

    /// Sends what differs.
    ///
    /// - Returns: false if the page was full before the end.
    private static func compare(
        _ own: [RecordPrint], _ theirs: [RecordPrint], _ records: some DigestRecords, _ budget: Int,
        _ sent: Set<RecordID>, _ response: inout DigestResponse
    ) throws -> Bool {
        var prints: [RecordID: UInt64] = [:]
        for record in theirs { prints[record.id] = record.print }
        for record in own {
            if prints.removeValue(forKey: record.id) == record.print || sent.contains(record.id) { continue }
            if response.page.weight >= budget { return false }
            if let whole = try records.record(record.id) { response.page.append(whole) }
        }
        response.gone += prints.keys.filter { !records.isOmitted($0) }
        return true
    }
}

extension RecordPage {
    /// Adds a record whole.
    mutating func append(_ record: Record) {
        begin(record.id, record.envelope)
        for entry in record.entries where !entry.kind.isMarker {
            var copy = entry
            // Sequences are the server's; they do not travel.
            copy.sequence = 0
            append(copy, from: record.arena)
        }
    }
}
