import ShoalCRDT
import ShoalProtocol

import struct ShoalCRDT.Record

/// Finds the records that a query names. Used inside one read of the store.
struct Finder {
    let store: ReplicaStore
    let query: Query
    private let needles: [[UInt32]]

    init(_ store: ReplicaStore, _ text: String) throws {
        self.store = store
        query = try Query(text)
        needles = query.words.map(Folding.search).filter { !$0.isEmpty }
    }

    /// The customers for which every term holds, in id order.
    func customers(limit: Int?) throws -> [CustomerRow] {
        var rows = try matching(try store.customerRows())
        for needle in needles {
            let found = Set(try texts(containing: [needle]).map(\.customer))
            rows.removeAll { !found.contains($0.id) }
        }
        if let limit, rows.count > limit { rows.removeSubrange(limit...) }
        return rows
    }

    /// Customers and notes with every word, of customers for which the other terms hold; in id order.
    func hits(limit: Int?) throws -> [SearchHit] {
        let rows = try matching(try store.customerRows())
        var allowed: [RecordID: CustomerRow] = [:]
        for row in rows { allowed[row.id] = row }
        var hits: [SearchHit] = []
        if needles.isEmpty {
            hits =
                query.terms.isEmpty
                ? [] : rows.map { SearchHit(kind: "customer", id: $0.id, customer: $0.id, text: $0.name) }
        } else {
            for text in try texts(containing: needles) {
                guard let row = allowed[text.customer] else { continue }
                let isNote = text.id != text.customer
                hits.append(
                    SearchHit(
                        kind: isNote ? "note" : "customer", id: text.id, customer: text.customer,
                        text: text.excerpt(of: needles, name: isNote ? nil : row.name)))
            }
        }
        hits.sort { $0.id < $1.id }
        if let limit, hits.count > limit { hits.removeSubrange(limit...) }
        return hits
    }

    /// The rows for which every term but the words holds.
    private func matching(_ all: [CustomerRow]) throws -> [CustomerRow] {
        var rows = all
        for term in query.terms {
            switch term {
            case .word: continue
            case .tag(let name, let isWanted):
                let found = try store.customers(taggedWithAnyOf: try tags(name))
                rows.removeAll { found.contains($0.id) != isWanted }
            case .account(let name):
                let found = try store.customers(followedBy: try account(name))
                rows.removeAll { !found.contains($0.id) }
            case .birthMonth(let month):
                let wanted = Self.number(month)
                rows.removeAll { $0.birthMonth.isEmpty || Self.number($0.birthMonth) != wanted }
            case .source(let text):
                let wanted = Folding.fold(text)
                rows.removeAll { Folding.fold($0.source) != wanted }
            case .stage(let text):
                let wanted = Folding.fold(text)
                rows.removeAll { Folding.fold($0.stage) != wanted }
            case .added(let comparison, let day):
                rows.removeAll { !comparison.holds($0.added, day) }
            }
        }
        return rows
    }

    /// `5` and `05` are the same month.
    private static func number(_ text: String) -> String { Int(text).map(String.init) ?? Folding.fold(text) }

    private func tags(_ name: String) throws -> [RecordID] {
        let book = try store.readBook()
        let found = book.find(name)
        if found.isEmpty { throw ReplicaError.unknownTag(name, near: NearNames.meant(by: name, among: book.views)) }
        return found.flatMap(\.members)
    }

    private func account(_ name: String) throws -> RecordID {
        let book = try store.readBook()
        if let account = try book.account(named: name) { return account.id }
        if name == store.standing.accountName { return store.standing.account }
        throw ReplicaError.unknownAccount(name, near: NearNames.of(name, among: book.accounts.map(\.name)))
    }

    // MARK: Texts

    /// What search sees of a record.
    struct Text {
        var id: RecordID
        var customer: RecordID
        var text: String
        var folded: [UInt32]
    }

    /// The texts of present records that contain all needles: the index proposes, the text itself decides, and what waits
    /// for the index is looked at in any case.
    private func texts(containing needles: [[UInt32]]) throws -> [Text] {
        guard let match = Grams.query(needles) else { return [] }
        var candidates = Set(try store.text.candidates(match))
        candidates.formUnion(try store.text.queue(limit: .max))
        let overlaid = try store.log.tailRecords()
        var found: [Text] = []
        for id in candidates {
            guard var record = try store.records.read(id) ?? (overlaid.contains(id) ? Record(id: id) : nil) else {
                continue
            }
            if overlaid.contains(id) { try store.log.overlay(&record) }
            guard let text = Self.text(of: record) else { continue }
            if needles.allSatisfy({ text.folded.firstOccurrence(of: $0) != nil }) { found.append(text) }
        }
        return found
    }

    /// The text of a customer or a note; nil for a record that search does not see.
    static func text(of record: Record) -> Text? {
        guard record.isMade else { return nil }
        let customer: RecordID
        switch (record.envelope.kind, record.envelope.scope) {
        case (.customer, _): customer = record.id
        case (.note, .customer(let id)) where record.isPresent: customer = id
        default: return nil
        }
        var texts: [String] = []
        record.forEachCell { cell in
            guard Schema.isSearched(record.entries[cell.lowerBound].key.field) else { return }
            if record.isText(cell) { texts.append(record.openText(in: cell).text) }
            for index in cell where record.entries[index].kind == .text {
                texts.append(record.text(record.entries[index].slice))
            }
        }
        let text = texts.filter { !$0.isEmpty }.joined(separator: "\n")
        return Text(id: record.id, customer: customer, text: text, folded: Folding.search(text))
    }
}

extension Finder.Text {
    private static let around = 24

    /// The text around the first match in one line; a customer's begins with the name.
    func excerpt(of needles: [[UInt32]], name: String?) -> String {
        // Folding may change the length; then the match is shown from the beginning.
        let scalars = Array(text.unicodeScalars)
        let start = needles.first.flatMap { folded.firstOccurrence(of: $0) } ?? 0
        let isAligned = scalars.count == folded.count
        let match = isAligned ? start : 0
        var low = match
        var high = match
        while low > 0, match - low < Self.around, scalars[low - 1] != "\n" { low -= 1 }
        while high < scalars.count, high - match < Self.around * 2, scalars[high] != "\n" { high += 1 }
        var excerpt = String.UnicodeScalarView()
        excerpt.append(contentsOf: scalars[low..<high])
        guard let name, !name.isEmpty else { return String(excerpt) }
        return String(excerpt) == name ? name : "\(name) · \(String(excerpt))"
    }
}
