import Testing

@testable import ShoalCRDT

/// Changes that are well formed and do not fit the text, and texts of unusual shapes.
@Suite struct TextFitTests {
    /// `abcdef` under the name 0, of which `c` is deleted.
    private func text() throws -> TextSequence {
        var text = TextSequence()
        text.merge(try TextDelta(json: #"["AAAAAAA",-1,0,"abcdef",0,2,1]"#))
        return text
    }

    @Test(arguments: [
        #"["AAAAAAAAAAAAAB",[1,0],0,2,"x",1,1,"y"]"#, #"["AAAAAAAAAAAAAB",[1,0],0,4,"x",1,0,1]"#,
        #"["AAAAAAA",[0,6],0,10,"g"]"#, #"["AAAAAAA",0,0,6]"#, #"["AAAAAAA",-1,0,"abcdef"]"#, #"["AAAAAAA",-1,0,[6]]"#,
        #"["AAAAAAA",-1,0,"abXdef"]"#, #"["AAAAAAAAAAAAAB",[1,1],1,0,"y",[1,0],-1,0,"x"]"#,
        #"["AAAAAAAAAAAAAB",[1,3],1,4,"y",[1,0],-1,0,"xyz",[1,4],0,0,"v"]"#, #"["AAAAAAA"]"#,
    ])
    func whatHangsOnWhatIsThereFits(_ json: String) throws {
        let delta = try TextDelta(json: json)
        var text = try text()
        #expect(text.fits(delta))
        text.merge(delta)
        #expect(text.waitingRuns == 0)
        #expect(text.fits(delta), "again")
    }

    /// Many children of one character on one side, or of the root, in whatever order they come.
    @Test(arguments: [-1, 0, 1], [0, 1, 2]) func manySiblingsStandInTheOrderOfTheirNames(side: Int, order: Int) throws {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let name = { (number: Int) in "AAAAA\(digits[number >> 6])\(digits[number & 63])" }
        var numbers = Array(1..<2_000)
        if order == 1 { numbers.reverse() }
        if order == 2 {
            var random = SplitMix64(seed: 9)
            for index in numbers.indices.reversed() { numbers.swapAt(index, random.below(index + 1)) }
        }
        var text = TextSequence()
        // Under the root the run of another name stands first; else it is the run whose second character has the children.
        text.merge(try TextDelta(json: #"["AAAAAAA",-1,0,"<^>"]"#))
        for number in numbers {
            let parent = side < 0 ? "-1,0" : "1,\(2 + side)"
            let scalar = Unicode.Scalar(UInt32(0x4E00 + number)) ?? "?"
            text.merge(try TextDelta(json: "[\"\(name(number))AAAAAAA\",\(parent),\"\(scalar)\"]"))
        }
        let all = (1..<2_000).compactMap { Unicode.Scalar(UInt32(0x4E00 + $0)) }
        let typed = String(String.UnicodeScalarView(all))
        #expect(text.text == (side < 0 ? "<^>\(typed)" : side == 0 ? "<^>\(typed)" : "<\(typed)^>"))
        var again = TextSequence()
        again.merge(text.state)
        #expect(again.text == text.text)
    }

    /// As many pieces as a server takes, in the shapes that are slowest to search.
    @Test func hostileShapesAreMergedAndOpenedInTime() throws {
        let siblings = (0..<15).map { "[\"AAAAAAA\",[0,\($0 * 2_040)]" + repeated(",-1,0,\"a\"") + "]" }
        let chain = (0..<8).map { part in
            "[\"BAAAAAA\",[0,\(part * 2_040)]"
                + (0..<2_040).map { child in
                    let offset = part * 2_040 + child
                    return offset == 0 ? ",-1,0,\"a\"" : ",0,\(offset * 2 - 1),\"a\""
                }.joined() + "]"
        }
        let pieces = "[\"AAAAAAA\",-1,0,[" + repeated("1,\"a\",") + "1]]"
        let ranges = "[\"AAAAAAA\"" + repeated(",0,0,1,0,2,1") + "]"
        let shapes = [siblings, chain + siblings.prefix(6), [pieces, pieces] + Array(repeating: ranges, count: 75)]
        for shape in shapes {
            var record = Record(id: RecordID(milliseconds: 1_000_000, count: 7, sequence: 1))
            var text = TextSequence()
            let time = try ContinuousClock().measure {
                for (index, json) in shape.enumerated() {
                    let delta = try TextDelta(json: json)
                    #expect(text.fits(delta))
                    text.merge(delta)
                    var batch = Operations()
                    batch.begin(record: record.id, time: 1)
                    let slice = batch.store(json.utf8)
                    batch.edit(CellKey(Field(rawValue: 3)), .textChange, slice: slice)
                    record.apply(
                        0, of: batch, dot: Dot(ReplicaID(epoch: 9, count: 7), UInt32(index + 1)), time: 1,
                        dropsText: false)
                }
                record.dropDeletedTexts(sequence: 1)
                #expect(record.openText(in: record.range(of: CellKey(Field(rawValue: 3)))).count == text.count)
            }
            #expect(time < .seconds(1), "\(time)")
        }
    }

    private func repeated(_ item: String) -> String { String(repeating: item, count: 2_040) }

    @Test(arguments: [
        // Parents that do not exist, of a name that is here and of one that is not.
        #"["AAAAAAAAAAAAAB",[1,0],0,12,"x"]"#, #"["AAAAAAAAAAAAAB",[0,6],1,0,"x"]"#,
        #"["AAAAAAA",[0,7],0,12,"h"]"#, #"["AAAAAAA",[0,4294967294],0,8589934590,"h"]"#,
        // Cycles: of a run with itself, of two, of three.
        #"["AAAAAAAAAAAAAB",[1,0],1,0,"x"]"#, #"["AAAAAAAAAAAAAB",[1,0],1,5,"xyz"]"#,
        #"["AAAAAAAAAAAAABAAAAAAC",[1,0],2,0,"x",[2,0],1,0,"y"]"#,
        #"["AAAAAAAAAAAAABAAAAAACAAAAAAD",[1,0],2,1,"x",[2,0],3,0,"y",[3,0],1,0,"z"]"#,
        // Other characters where some are, here and within the change.
        #"["AAAAAAA",-1,0,"x"]"#, #"["AAAAAAA",[0,5],0,8,"x"]"#, #"["AAAAAAA",[0,1],-1,0,"bcdeF"]"#,
        #"["AAAAAAAAAAAAAB",[1,0],0,0,"xyz",[1,2],0,4,"w"]"#, #"["AAAAAAAAAAAAAB",[1,2],0,0,"z",[1,0],0,0,"xyw"]"#,
        // Deletions of what is not there.
        #"["AAAAAAA",0,6,1]"#, #"["AAAAAAA",0,5,2]"#, #"["AAAAAAAAAAAAAB",1,0,1]"#, #"["AAAAAAA",0,0,4294967295]"#,
        #"["AAAAAAAAAAAAAB",[1,0],0,0,"x",1,0,2]"#,
    ])
    func whatDoesNotFitIsToldAndStopsNobody(_ json: String) throws {
        let delta = try TextDelta(json: json)
        var text = try text()
        let before = text.state
        #expect(!text.fits(delta))
        #expect(text.state == before)
        // A server that recovers takes it all the same, and so does whoever reads what it took.
        text.merge(delta)
        text.merge(delta)
        var copy = TextSequence()
        copy.merge(text.state)
        for var each in [text, copy] {
            each.placeWaiting()
            #expect(each.waitingRuns == 0)
            #expect(each.count == each.content.count)
            var other = TextSequence()
            other.merge(each.state)
            #expect(other.content == each.content)
        }
    }

    /// Neither takes the place of what another change waits for.
    @Test func aChangeDoesNotFitBecauseItBringsWhatAnotherWaitsFor() throws {
        var text = try text()
        text.merge(try TextDelta(json: #"["AAAAAAAAAAAAABAAAAAAC",[1,0],2,0,"late",2,7,1]"#))
        #expect(text.waitingRuns == 1)
        #expect(text.fits(try TextDelta(json: #"["AAAAAAAAAAAAAC",[1,0],0,0,"x"]"#)))
        let other = #"["AAAAAAAAAAAAACAAAAAADAAAAAAE",[1,0],0,0,"x",[2,0],3,0,"y"]"#
        #expect(!text.fits(try TextDelta(json: other)))
        let deletion = #"["AAAAAAAAAAAAAC",[1,0],0,0,"12345678",1,8,1]"#
        #expect(!text.fits(try TextDelta(json: deletion)))
    }

    @Test func cyclesAndWhatWaitsShowAllTheirText() throws {
        var text = try text()
        let cycle = try TextDelta(
            json: #"["AAAAAAAAAAAAABAAAAAACAAAAAAD",[1,0],2,0,"xx",[2,0],1,1,"yy",[3,0],3,9,"zz",[3,5],0,90,"w"]"#)
        text.merge(cycle)
        #expect(text.waitingRuns == 4)
        #expect(text.text == "abdef")
        text.placeWaiting()
        #expect(text.waitingRuns == 0)
        #expect(text.content.count == 12)
        for word in ["abdef", "x", "yy", "zz", "w"] { #expect(text.text.contains(word)) }
    }

    @Test func deletionsThatAreSaidAgainBeforeTheirCharactersAreKeptOnce() throws {
        var text = TextSequence()
        let deletions = try ["0,1,4", "0,3,4", "0,2,1", "0,1,4"].map { try TextDelta(json: #"["AAAAAAA","# + $0 + "]") }
        for delta in deletions { text.merge(delta) }
        let once = text.state
        for delta in deletions { text.merge(delta) }
        #expect(text.state == once)
        text.merge(try TextDelta(json: #"["AAAAAAA",-1,0,"0123456789"]"#))
        #expect(text.text == "0789")
        #expect(text.state.deletions.isEmpty)
    }

    // MARK: Unusual shapes

    private let clock = ContinuousClock()

    @Test func aPasteOfManyCharactersIsOneRun() {
        var writer = TextWriter("a")
        let pasted = String(repeating: "敏感肌a\n", count: 20_000)
        var deltas = [writer.type(pasted, at: 0)]
        let taken = clock.measure {
            for position in 0..<200 { deltas.append(writer.type("x", at: position * 500)) }
            deltas.append(writer.delete(at: 10, count: 90_000))
        }
        #expect(taken < .seconds(5))
        #expect(writer.sequence.count == 10_200)
        #expect(deltas.allSatisfy { $0.reread == $0 })
        var other = TextSequence()
        for delta in deltas.reversed() { other.merge(delta) }
        #expect(other.content == writer.sequence.content)
        var random = SplitMix64(seed: 1)
        #expect(other.misshape(&random) == nil && writer.sequence.misshape(&random) == nil)
    }

    @Test func aHundredThousandCharactersTypedBackwardsAreMergedInBoundedTime() {
        var writer = TextWriter("a")
        var delta = TextDelta()
        let count = 100_000
        let taken = clock.measure {
            for index in 0..<count {
                writer.sequence.insert(
                    [Unicode.Scalar(UInt8(97 + index % 26))], at: 0, as: writer.name, from: UInt32(index), into: &delta)
            }
            var other = TextSequence()
            other.merge(delta)
            #expect(other.content == writer.sequence.content)
            var loaded = TextSequence()
            loaded.merge(other.state.reread ?? TextDelta())
            #expect(loaded.content == writer.sequence.content)
            // Somebody who types in front of all of it at once, where nothing is near.
            other.merge(TextWriter("b").first("!"))
            #expect(other.count == count + 1)
        }
        #expect(taken < .seconds(10))
    }

    @Test func aLongChainThatArrivesBackwardsWaitsInBoundedTime() {
        var writer = TextWriter("a")
        var delta = TextDelta()
        for index in 0..<5_000 as Range<UInt32> {
            writer.sequence.insert(["x"], at: 0, as: writer.name, from: index, into: &delta)
        }
        var backwards = TextDelta()
        for run in delta.runs.reversed() {
            backwards.begin(
                name: backwards.place(of: writer.name), offset: run.offset, parent: run.parent, side: run.side)
            backwards.append(["x"])
        }
        var (text, orphan) = (TextSequence(), TextSequence())
        let taken = clock.measure {
            text.merge(backwards)
            var headless = TextDelta()
            for run in backwards.runs where run.parent != .root {
                headless.begin(
                    name: headless.place(of: writer.name), offset: run.offset, parent: run.parent, side: run.side)
                headless.append(["x"])
            }
            orphan.merge(headless)
            orphan.placeWaiting()
        }
        #expect(text.waitingRuns == 0 && text.count == 5_000)
        #expect(orphan.waitingRuns == 0 && orphan.count == 4_999)
        #expect(taken < .seconds(10))
    }
}

extension TextWriter {
    /// What somebody types who has seen nothing.
    fileprivate func first(_ text: String) -> TextDelta {
        var copy = TextWriter(Unicode.Scalar(UInt8(truncatingIfNeeded: name.rawValue)))
        return copy.type(text, at: 0)
    }
}
