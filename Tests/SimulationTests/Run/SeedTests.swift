import ShoalSimulation
import Testing

/// Seeded runs with all their faults. Many more of them run in `Scripts/simulate`.
@Suite struct SeedTests {
    private static func expectClean(_ settings: Settings, _ location: SourceLocation = #_sourceLocation) {
        let findings = Simulation.findings(settings).findings
        #expect(
            findings.isClean, "\(settings)\n\(findings.sentences.prefix(5).joined(separator: "\n"))",
            sourceLocation: location)
    }

    /// In steps, so that they spread over the cores.
    @Test(arguments: 0..<10 as Range<UInt64>)
    func nothingIsLostWhateverBreaks(part: UInt64) {
        for seed in 1...20 as ClosedRange<UInt64> { Self.expectClean(Settings(seed: part * 20 + seed)) }
    }

    @Test(arguments: 1...12 as ClosedRange<UInt64>)
    func everySeedGivesTheSameTraceTwice(seed: UInt64) {
        var settings = Settings(seed: seed)
        settings.faults.lineage = settings.faults.lineage || seed % 2 == 0
        #expect(Simulation.findings(settings).trace == Simulation.findings(settings).trace)
        var other = settings
        other.seed += 1_000
        #expect(Simulation.findings(settings).trace != Simulation.findings(other).trace)
    }

    /// Runs that once failed.
    ///
    /// - 15, 57: a killed program's unsynced commit was sent, or acknowledged, and a loss of power took it back.
    /// - 9, 10, 74, 126, 145: a clock beyond 2089 used up all identifiers.
    /// - 6303076: a copy had pushed an operation renumbered, before it was pushed under its own number.
    /// - 7300340: what was refused at a place was not what an operation of an earlier epoch named there.
    /// - 16: a home that was set back named places in a log that the server had lost, and was not believed.
    /// - 46078, 56152: after a rollback a copy did not learn that another copy had found the identifier of their record taken.
    /// - 104070: a copy that had found an identifier taken did not learn that the server has the record under it after all.
    /// - 151322, 154342: a row of the epoch before held an operation under the place that another one had just got.
    /// - 703738: another home's word about a place was taken for that of whoever pushed.
    /// - 1000408: a mark was taken for the operation that it waits for, and a deletion covered what nobody deleted.
    /// - 3688: after a rollback operations were looked for in a log of which nothing was left.
    /// - 8001437: of several requests only the first said what a copy had at places that its deletion names.
    /// - 2007395: a copy saw what another one had written under the replica that both had been handed out, and wrote the same places.
    /// - 242768: a loss of power took back a cursor that the server had been told, and below which it had collected.
    /// - 264903: what another copy's record was called was given to a record here, and the two became one.
    /// - 214783: a late answer of another epoch was taken for one of this.
    @Test(
        arguments: [
            9, 10, 15, 16, 57, 74, 126, 145, 46_078, 56_152, 104_070, 151_322, 154_342, 703_738, 1_000_408,
            2_007_395, 3_688, 6_303_076, 7_300_340, 8_001_437, 214_783,
            242_768, 264_903,
        ] as [UInt64])
    func whatFailedOnce(seed: UInt64) {
        Self.expectClean(Settings(seed: seed))
    }

    /// - 6, 8: after two copies' logs were told apart the list of conflicts was not told.
    /// - 85, 158, 197, 276, 286: what was written before a rollback named places that another copy's work had taken.
    /// - 226: a home that was set back did not know that it had sent what others named.
    /// - 33: work written after a rollback was taken to speak of places before it.
    /// - 230: a reference was refused because another operation at that place was.
    /// - 252: notes named an identifier under which a record of another kind stood.
    /// - 289: the server knew operations in the log of another copy, and their record was renamed there.
    /// - 457: a copy whose operation was known did not learn what its record is called.
    /// - 133, 914: a copy that could not sync: asked again and again, or refused for a replica that the server forgot.
    /// - 6085: a copy's addition stood where one was that somebody had deleted.
    /// - 1580: an answer about another part of the tail was believed.
    /// - 281: a text of which only a mark was new was emptied.
    @Test(
        arguments: [6, 8, 33, 85, 133, 158, 197, 226, 230, 252, 276, 281, 286, 289, 457, 914, 1580, 6085] as [UInt64])
    func whatFailedOnceWithCopiesAndBackups(seed: UInt64) {
        var settings = Settings(seed: seed)
        settings.faults.lineage = true
        Self.expectClean(settings)
    }

    private static func expectCleanRecovery(_ seed: UInt64) {
        var settings = Settings(seed: seed)
        settings.faults.lineage = true
        settings.faults.recovers = true
        expectClean(settings)
    }

    /// - 2452, 3066, 4213, 4304, 5240: a role that was taken back before everything was told.
    /// - 3603: who keeps what is shown dismisses what was refused.
    @Test(arguments: [2452, 3066, 3603, 4213, 4304, 5240] as [UInt64])
    func whatFailedOnceWhereAccountsSeeWhatTheyFollow(seed: UInt64) {
        var settings = Settings(seed: seed).withVisibility()
        settings.faults.revokes = false
        Self.expectClean(settings)
    }

    /// Devices are revoked and accounts disabled: what they had not sent comes to the server all the same.
    @Test(arguments: 0..<5 as Range<UInt64>)
    func whoeverIsLockedOutHandsOver(part: UInt64) {
        for seed in 1...6 as ClosedRange<UInt64> {
            var settings = Settings(seed: part * 6 + seed).withVisibility()
            settings.faults.revokes = true
            Self.expectClean(settings)
        }
    }

    /// The server is set back or wiped, people leave, and the others are asked for what they hold.
    @Test(arguments: 0..<8 as Range<UInt64>)
    func whatOthersHoldComesBackAndNothingElse(part: UInt64) {
        for seed in 1...10 as ClosedRange<UInt64> { Self.expectCleanRecovery(20_000 + part * 10 + seed) }
    }

    /// - 24: a person asked for recovery where nothing was lost, and what came afterwards was in doubt at the next loss.
    /// - 68: what a relay had brought was passed over with what it replaces, of which the relay had not known.
    /// - 20006: what a row without a vector brought was taken for another's when its author came.
    /// - 20028, 21284: a row that came from a recovery knew more than its vector said, and whoever could tell was gone.
    /// - 20079: a record that came back deleted was sent in part.
    /// - 21234: an addition counted twice, because nobody could prove that it stood where a relay had brought it.
    /// - 21263: who had renumbered a whole log was not believed about it, and made a record twice.
    /// - 22069, 22225: what was in doubt was spared though the relayed row showed the same log.
    /// - 22417: a home's vector was that of another server than its rows.
    /// - 22424: a counter's part was renamed beside another one of its log.
    /// - 23323: an answer about one log was taken for one about another, with what it refused.
    /// - 23381: who came from an epoch that went on elsewhere named only a log that was handed out after the backup.
    /// - 30266: another epoch took from what was proven of a log, and a value stayed that was replaced.
    /// - 40092: an epoch that had ended went on at another server, and what was deleted there came back.
    /// - 9000163: a record that got another identifier was named by the old one, and what named it by the new one was removed.
    @Test(
        arguments: [
            24, 68, 9_000_163, 21_234, 21_263, 21_284, 22_069, 22_225, 22_417, 22_424, 23_323, 23_381, 30_266, 40_092,
        ]
            as [UInt64])
    func whatFailedOnceInRecovery(seed: UInt64) { Self.expectCleanRecovery(seed) }

    /// Accounts see only what they follow while homes are copied and homes and server set back.
    @Test(arguments: 0..<5 as Range<UInt64>)
    func everybodySeesWhatTheyMayWhateverIsSetBack(part: UInt64) {
        for seed in 1...4 as ClosedRange<UInt64> { Self.expectClean(Self.withBoth(part * 4 + seed)) }
    }

    /// - 25, 27, 46: what somebody added as a supervisor, or as a follower, whom the server forgot, does not count.
    /// - 126, 917, 2115: a hand-over passes over who does not count.
    /// - 969: a supervisor who was none any more in the middle of a pull missed what it followed.
    /// - 606, 738: a conflict was settled together with what was refused of the same field.
    /// - 1288: what a customer lost to another stayed when it left.
    @Test(arguments: [25, 27, 46, 116, 126, 606, 738, 917, 969, 1288, 2115] as [UInt64])
    func whatFailedOnceWithCopiesAndBackupsWhereAccountsSeeTheirOwn(seed: UInt64) {
        Self.expectClean(Self.withBoth(seed))
    }

    private static func withBoth(_ seed: UInt64) -> Settings {
        var settings = Settings(seed: seed).withVisibility()
        settings.faults.lineage = true
        return settings
    }

    @Test func aFailingRunIsMadeSmaller() {
        var shrinking = Shrinking(Settings(seed: 3)) { $0.steps >= 7 && $0.faults.drop > 0 }
        shrinking.run()
        #expect(shrinking.settings.steps == 7 && shrinking.settings.replicas == 1)
        #expect(shrinking.settings.faults.drop > 0 && shrinking.settings.faults.duplicate == 0)
        #expect(shrinking.settings.description.hasPrefix("shoal-bench simulate --seed 3 "))
    }
}
