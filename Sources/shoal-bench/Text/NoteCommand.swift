import ArgumentParser
import Foundation
import ShoalCRDT
import ShoalProtocol

/// Measures a note as it is stored, opened and changed.
struct NoteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "note", abstract: "Measures notes: stored, opened and changed.",
        discussion: """
            A note is typed in bursts, each saved by a program of its own, and stored as a server stores it. FILE, if it is
            given, holds the text to take instead of one in English.

            note_stored_500_zlib_bytes: the packed row, compressed, with who saved what and when; note_state_…: the text with
            its history alone; note_session_…: the same, saved by one program; note_text_…: the plain text. note_delta_overhead_bytes: what a change takes beside
            its text. note_open_500_us: from the packed row to the text. note_edit_2000_us: one character typed or deleted
            somewhere, with the change that says so. note_memory_N_bytes: of the open note; a closed one takes none.
            """)

    @Option(help: "The text; long enough for 2,000 characters.") var text: String?
    @Option(help: "In how many bursts 500 characters are typed.") var bursts = 10

    func validate() throws {
        guard 1...100 ~= bursts else { throw ValidationError("--bursts takes a number from 1 to 100") }
    }

    func run() throws {
        var random = SplitMix64(state: 1)
        let source = try text.map { try String(contentsOfFile: $0, encoding: .utf8) } ?? Self.sample
        var scalars = Array(source.unicodeScalars)
        guard !scalars.isEmpty else { throw TextTrace.Failure(description: "the text is empty") }
        while scalars.count < 2_000 { scalars += scalars }
        for length in [500, 2_000] {
            let record = typed(Array(scalars[..<length]), bursts: bursts * length / 500, &random)
            let cell = record.range(of: CellKey(.body))
            var row: [UInt8] = []
            record.encode(sequence: 1, into: &row)
            let opened = record.openText(in: cell)
            guard opened.count == length else { throw TextTrace.Failure(description: "the note says something else") }
            Measure.metric("note_memory_\(length)_bytes", Double(opened.memory))
            Measure.metric("note_stored_\(length)_bytes", Double(row.count))
            Measure.metric("note_stored_\(length)_zlib_bytes", Double(try Deflate.compress(row).count))
            var state: [UInt8] = []
            opened.state.encode(into: &state)
            Measure.metric("note_state_\(length)_zlib_bytes", Double(try Deflate.compress(state).count))
            let plain = Array(opened.text.utf8)
            Measure.metric("note_text_\(length)_zlib_bytes", Double(try Deflate.compress(plain).count))
            Measure.metric("note_open_\(length)_us", try open(record.id, row, length))
            Measure.metric("note_edit_\(length)_us", edit(opened, &random))
        }
        var delta = TextDelta()
        let record = typed(Array(scalars[..<500]), bursts: bursts, &random)
        let session = typed(Array(scalars[..<500]), bursts: bursts, inOneSession: true, &random)
        var state: [UInt8] = []
        session.openText(in: session.range(of: CellKey(.body))).state.encode(into: &state)
        Measure.metric("note_session_500_zlib_bytes", Double(try Deflate.compress(state).count))
        var note = record.openText(in: record.range(of: CellKey(.body)))
        let burst = scalars[500..<550]
        note.insert(burst, at: 250, as: TextName(drawn: random.next()), from: 0, into: &delta)
        var json: [UInt8] = []
        delta.encode(into: &json)
        var text: [UInt8] = []
        for scalar in burst { text += Array(String(scalar).utf8) }
        Measure.metric("note_delta_overhead_bytes", Double(json.count - text.count))
    }

    /// A note that was made with the first burst and then changed by the others, each at the end of the text.
    ///
    /// - Parameter inOneSession: whether one program saved them all, under one name.
    private func typed(
        _ text: [Unicode.Scalar], bursts: Int, inOneSession: Bool = false, _ random: inout SplitMix64
    ) -> Record {
        let name = TextName(drawn: random.next())
        let id = RecordID(milliseconds: 1_000_000, count: 7, sequence: 1)
        let customer = RecordID(milliseconds: 900_000, count: 7, sequence: 1)
        var record = Record(id: id)
        let key = CellKey(.body)
        var done = 0
        for burst in 0..<bursts {
            let end = text.count * (burst + 1) / bursts
            let part = text[done..<end]
            var batch = Operations()
            let time = id.time + Int64(burst) * 40_000 + Int64(random.next() % 20_000)
            let cell = record.range(of: key)
            if burst == 0 {
                batch.begin(record: id, time: time, creates: Envelope(kind: .note, scope: .customer(customer)))
                batch.edit(key, text: String(String.UnicodeScalarView(part)))
            } else {
                batch.begin(record: id, time: time)
                let base = record.isText(cell) ? nil : record.textBase(in: cell)
                var delta = base?.delta ?? TextDelta()
                var sequence = record.openText(in: cell)
                sequence.insert(
                    part, at: done, as: inOneSession ? name : TextName(drawn: random.next()),
                    from: inOneSession ? UInt32(done) : 0, into: &delta)
                var json: [UInt8] = []
                delta.encode(into: &json)
                batch.edit(key, .textChange, slice: batch.store(json), supersedes: base?.dots ?? [])
            }
            record.apply(
                0, of: batch, dot: Dot(ReplicaID(epoch: 9, count: 7), UInt32(burst + 1)), time: time, sequence: 1)
            done = end
        }
        return record
    }

    private func open(_ id: RecordID, _ row: [UInt8], _ length: Int) throws -> Double {
        var times: [Double] = []
        for _ in 0..<2_000 {
            let (count, seconds) = try Measure.seconds {
                let record = try row.withUnsafeBytes { try Record(id: id, sequence: 1, packed: $0) }
                return record.openText(in: record.range(of: CellKey(.body))).count
            }
            guard count == length else { throw TextTrace.Failure(description: "the note says something else") }
            times.append(seconds * 1e6)
        }
        return Measure.median(times)
    }

    private func edit(_ text: TextSequence, _ random: inout SplitMix64) -> Double {
        var text = text
        var times: [Double] = []
        var offset: UInt32 = 0
        let name = TextName(drawn: random.next())
        for _ in 0..<50 {
            let places = (0..<100).map { _ in Int(random.next() % UInt64(text.count - 1)) }
            let (_, seconds) = Measure.seconds {
                for (index, place) in places.enumerated() {
                    var delta = TextDelta()
                    if index % 2 == 0 {
                        text.insert(CollectionOfOne("x"), at: place, as: name, from: offset, into: &delta)
                        offset += 1
                    } else {
                        text.delete(at: place, count: 1, into: &delta)
                    }
                }
            }
            times.append(seconds * 1e6 / 100)
        }
        return Measure.median(times)
    }

    private static let sample = """
        Called her back after lunch. She has used the cream for three weeks and says that the redness on both cheeks is \
        almost gone, but the skin around the nose still feels dry in the evening. She washes with hot water; I told her \
        to try it lukewarm and to wait a minute before the serum. She would like a small bottle for travelling, because \
        she flies to Chengdu on the ninth and comes back after the holidays. Her sister wants to join the group too. \
        Send the sample with the next parcel, and ask again about the sun lotion.
        """
}
