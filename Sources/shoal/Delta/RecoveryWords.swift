import ShoalCRDT
import ShoalProtocol

extension RelayRequest {
    /// Prints the relay in words.
    func print(to screen: inout Screen) {
        screen.line(.plain("epoch           \(String(epoch, radix: 16))"))
        let positions = vector.positions.sorted { $0.key < $1.key }.map { Dot($0.key, $0.value) }
        screen.line(.plain("rows as of      \(positions.isEmpty ? "not known" : Spell.dots(positions))"))
        screen.line(.plain(Format.count(page.heads.count, "record", "records")))
        page.print(to: &screen)
    }
}

extension RelayResponse {
    func print(to screen: inout Screen) {
        screen.line(.plain("joined          \(taken)"))
        screen.line(.plain("more            \(more ? "is taken" : "is not taken")"))
    }
}

extension DigestRequest {
    /// Prints the comparison in words.
    func print(to screen: inout Screen) {
        screen.line(.plain("epoch           \(String(epoch, radix: 16))"))
        screen.line(.plain("cursor          \(Spell.opaque(cursor))"))
        for range in ranges { range.print(to: &screen) }
        for id in wanted { screen.line(.plain("wanted          \(id)")) }
    }
}

extension DigestResponse {
    func print(to screen: inout Screen) {
        if isBehind { screen.line(.warning("nothing was compared: too much has changed since the cursor")) }
        for id in omitted { screen.line(.plain("left out        \(id)")) }
        for range in ranges { range.print(to: &screen) }
        for id in gone { screen.line(.plain("not there       \(id)")) }
        if !page.heads.isEmpty { screen.line(.plain(Format.count(page.heads.count, "record", "records"))) }
        page.print(to: &screen)
    }
}

extension DigestRange {
    fileprivate func print(to screen: inout Screen) {
        let place = "\(Spell.bound(range.lower)) up to \(Spell.bound(range.upper))"
        switch content {
        case .print(let print): screen.line(.plain("range           \(place): \(String(print, radix: 16))"))
        case .list(let records):
            screen.line(.plain("range           \(place): \(Format.count(records.count, "record", "records"))"))
            for record in records {
                screen.line(.plain("    \(record.id)  \(String(record.print, radix: 16))"))
            }
        }
    }
}

extension Spell {
    /// An end of a range of identifiers.
    fileprivate static func bound(_ number: UInt64) -> String {
        Int64(exactly: number).map { RecordID(rawValue: $0).description } ?? "the end"
    }
}
