import Testing

@testable import ShoalCRDT

@Suite struct CodingLaws {
    @Test func aPackedRowReadsBackAndIsTheSameForEveryOrder() {
        law(generate: History.sensible, smaller: \.smaller) { history, random in
            let batch = Operations(history.acts)
            var rows: [RecordID: [UInt8]] = [:]
            for _ in 0..<2 {
                var fold = Fold()
                for index in history.interleaving(&random) {
                    if let fault = fold.take(index, of: history.acts, batch) { return fault }
                }
                for (id, record) in fold.records {
                    if let fault = roundTripFault(record) { return "record \(id): \(fault)" }
                    guard record.isMade else { continue }
                    let row = rows[id, default: record.bytes]
                    if row != record.bytes { return "record \(id) has another row" }
                    rows[id] = row
                }
            }
            return nil
        }
    }

    @Test func aRecordIsItsCellsInOrderAndEachIsFoundWhereItLies() {
        law(generate: History.sensible, smaller: \.smaller) { history, random in
            let batch = Operations(history.acts)
            var fold = Fold()
            for index in history.interleaving(&random) {
                if let fault = fold.take(index, of: history.acts, batch) { return fault }
            }
            for (id, record) in fold.records {
                var built = Record(id: id)
                var replaced = Record(id: id)
                built.setEnvelope(record.envelope)
                replaced.setEnvelope(record.envelope)
                var cells: [Range<Int>] = []
                record.forEachCell { cells.append($0) }
                for cell in cells {
                    for entry in record.entries[cell] { built.appendInOrder(entry, from: record.arena) }
                    let key = record.entries[cell.lowerBound].key
                    if record.range(of: key, in: record.arena) != cell {
                        return "\(record.cell(key)) is not found at \(cell)"
                    }
                    let field = record.range(of: key.field)
                    let places = record.entries.indices.filter { record.entries[$0].key.field == key.field }
                    if Array(field) != places { return "field \(key.field.rawValue) is not found at \(places)" }
                    var inField: [Range<Int>] = []
                    record.forEachCell(in: field) { inField.append($0) }
                    if inField != cells.filter({ field.contains($0.lowerBound) }) {
                        return "the cells of a field are \(inField)"
                    }
                }
                for cell in cells.shuffled(using: &random) {
                    replaced.replaceCell(with: record.entries[cell], from: record.arena)
                }
                if built.bytes != record.bytes || replaced.bytes != record.bytes {
                    return "record \(id) is not its cells"
                }
            }
            return nil
        }
    }

    private func roundTripFault(_ record: Record) -> String? {
        var bytes: [UInt8] = []
        record.encode(sequence: record.sequence, into: &bytes)
        guard let read = record.repacked else { return "its row is refused" }
        if let fault = read.difference(from: record.model) { return fault }
        if read.envelope != record.envelope { return "its envelope changed" }
        if read.entries.map(\.sequence) != record.entries.map(\.sequence) { return "its sequences changed" }
        var again: [UInt8] = []
        read.encode(sequence: read.sequence, into: &again)
        return again == bytes ? nil : "its row read back is written otherwise"
    }

    @Test func aDamagedRowIsRefusedOrReadButEndsNothing() {
        law(generate: damagedRow) { row, random in
            guard var record = try? row.bytes.withUnsafeBytes({ try Record(id: row.id, sequence: 9, packed: $0) })
            else { return nil }
            if row.isTruncated { return "a truncated row is taken" }
            if let disorder = record.disorder { return disorder }
            // Whatever was read can be looked at, changed and written.
            _ = record.difference(from: record.model)
            record.forEachCell { cell in
                _ = record.conflicting(in: cell)
                _ = record.sum(in: cell)
            }
            let history = History.rough(&random)
            let batch = Operations(history.acts)
            for (index, act) in history.acts.enumerated().prefix(6) {
                record.apply(index, of: batch, dot: act.dot, time: act.time, sequence: 10, isKnown: { _ in false })
            }
            _ = record.bytes
            return record.disorder
        }
    }

    private struct DamagedRow {
        var id: RecordID
        var bytes: [UInt8]
        var isTruncated: Bool
    }

    private func damagedRow(_ random: inout SplitMix64) -> DamagedRow {
        let history = random.oneIn(2) ? History.sensible(&random) : History.rough(&random)
        let batch = Operations(history.acts)
        var fold = Fold()
        for index in history.interleaving(&random) { _ = fold.take(index, of: history.acts, batch) }
        guard let record = fold.records.values.min(by: { $0.id < $1.id }) else {
            return DamagedRow(id: .sample, bytes: [], isTruncated: true)
        }
        var bytes: [UInt8] = []
        // Without a checksum, which would refuse all of it at once.
        record.encodeWithoutChecksum(sequence: record.sequence, into: &bytes)
        if random.oneIn(3) {
            return DamagedRow(id: record.id, bytes: Array(bytes.prefix(random.below(bytes.count))), isTruncated: true)
        }
        damage(&bytes, &random)
        return DamagedRow(id: record.id, bytes: bytes, isTruncated: false)
    }

    /// Changes, drops, doubles and adds bytes here and there.
    private func damage(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
        for _ in 0...random.below(4) {
            let place = random.below(bytes.count + 1)
            let byte = random.pick([0, 1, 0x7F, 0x80, 0xFF, UInt8(truncatingIfNeeded: random.next())])
            guard place < bytes.count else {
                bytes.append(byte)
                continue
            }
            switch random.below(5) {
            case 0: bytes[place] ^= 1 << UInt8(random.below(8))
            case 1: bytes[place] = byte
            case 2: bytes.insert(byte, at: place)
            case 3: bytes.remove(at: place)
            default: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 1 + random.below(12))], at: place)
            }
        }
    }

    @Test func anOperationsBytesReadBackAsTheOperation() {
        law(generate: History.sensible, smaller: \.smaller) { history, _ in
            let batch = Operations(history.acts)
            var read = Operations()
            var copy = Operations()
            for index in history.acts.indices {
                var bytes: [UInt8] = []
                batch.encode(index, into: &bytes)
                do { try bytes.withUnsafeBytes { try read.decode($0) } } catch {
                    return "\(history.acts[index].dot): \(error)"
                }
                copy.append(index, of: batch)
                var again: [UInt8] = []
                read.encode(index, into: &again)
                if again != bytes { return "\(history.acts[index].dot) is written otherwise after reading" }
                again.removeAll()
                copy.encode(index, into: &again)
                if again != bytes { return "\(history.acts[index].dot) is written otherwise after copying" }
            }
            // What was read and what was copied do what the operations do.
            for batch in [read, copy] {
                var fold = Fold()
                for index in history.acts.indices {
                    if let fault = fold.take(index, of: history.acts, batch) { return fault }
                }
                if let fault = fold.difference(from: history.acts) { return fault }
            }
            return nil
        }
    }

    @Test func damagedOperationBytesAreRefusedOrAreTheBytesOfAnother() {
        law(generate: damagedOperation) { bytes, _ in
            var batch = Operations()
            batch.begin(record: .sample, time: 1)
            batch.edit(CellKey(.name), text: "before")
            guard (try? bytes.withUnsafeBytes({ try batch.decode($0) })) != nil else {
                let isUntouched =
                    batch.count == 1 && batch.edits.count == 1 && batch.dots.isEmpty
                    && batch.operations[0].edits == 0..<1 && batch.operations[0].covers.isEmpty
                return isUntouched ? nil : "a refused operation left something"
            }
            if batch.count != 2 { return "one operation became \(batch.count - 1)" }
            var again: [UInt8] = []
            batch.encode(1, into: &again)
            if again != bytes { return "\(bytes) is taken for \(again)" }
            var record = Record(id: batch.operations[1].record)
            record.apply(1, of: batch, dot: Dot(ReplicaID(rawValue: 1), 1), time: batch.operations[1].time) { _ in false
            }
            return record.misshape
        }
    }

    private func damagedOperation(_ random: inout SplitMix64) -> [UInt8] {
        let history = random.oneIn(2) ? History.sensible(&random) : History.rough(&random)
        var bytes: [UInt8] = []
        Operations(history.acts).encode(random.below(history.acts.count), into: &bytes)
        if random.oneIn(4) { bytes.removeLast(1 + random.below(bytes.count)) } else { damage(&bytes, &random) }
        return bytes
    }

    @Test func theHashChainTellsOfEveryByteSaltAndOrder() {
        law(generate: History.sensible, smaller: \.smaller) { history, random in
            let acts = history.acts.filter { $0.log == 0 }
            guard !acts.isEmpty else { return nil }
            let batch = Operations(acts)
            let end = chain(batch)
            let place = random.below(acts.count)
            var changed = acts
            switch random.below(6) {
            case 0: changed[place].salt = (changed[place].salt ?? 0) ^ 1 << UInt32(random.below(32))
            case 1: changed[place].time ^= 1 << Int64(random.below(63))
            case 2: changed[place].continuesCommand.toggle()
            case 3: changed[place].covers.append(Dot(ReplicaID(rawValue: 7), 1))
            case 4: changed.remove(at: place)
            default:
                let other = random.below(acts.count)
                if batch.bytes(place) == batch.bytes(other) { return nil }
                changed.swapAt(place, other)
            }
            if chain(Operations(changed)) == end { return "the chain does not tell of the change at \(place)" }
            var bytes = batch.bytes(place)
            let previous = OperationHash(rawValue: random.next())
            let hash = bytes.withUnsafeBytes { previous.extended(by: $0) }
            bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
            let other = bytes.withUnsafeBytes { previous.extended(by: $0) }
            return hash == other ? "the hash does not tell of one bit" : nil
        }
    }

    private func chain(_ batch: Operations) -> OperationHash {
        var scratch: [UInt8] = []
        return batch.operations.indices.reduce(.start) { batch.hash(of: $1, after: $0, scratch: &scratch) }
    }
}

extension Operations {
    fileprivate func bytes(_ index: Int) -> [UInt8] {
        var output: [UInt8] = []
        encode(index, into: &output)
        return output
    }
}
