import Testing

@testable import ShoalCRDT

/// A record is present while it has an entry that no deletion has seen.
@Suite struct PresenceTests {
    private func customer(replicas: Int) -> History {
        var history = History(replicas: replicas)
        history.perform(.all([.create, .write(.name, "Lin"), .add(.tags, 7), .add(.phones, "138")]), by: 0, at: 10)
        history.showAll()
        return history
    }

    @Test func aRecordThatNobodyMadeIsNotPresent() {
        #expect(!Record(id: .sample).isPresent)
        var history = History(replicas: 1)
        history.perform(.write(.name, "Lin"), by: 0)
        #expect(!history.folded().isPresent)
    }

    @Test func aDeletedRecordIsGoneAndKeepsItsValues() {
        var history = customer(replicas: 2)
        history.perform(.delete, by: 1, at: 20)
        let record = history.folded()
        #expect(record.isMade && !record.isPresent)
        #expect(record.shown(.name) == .text("Lin"))
        #expect(record.uncoveredDots().isEmpty)
    }

    @Test(arguments: [5, 90] as [Int64])
    func aDeleteConcurrentWithAnEditLeavesTheWholeRecord(editTime: Int64) {
        var history = customer(replicas: 2)
        history.perform(.delete, by: 1, at: 50)
        history.perform(.writeInteger(.year, 1990), by: 0, at: editTime)
        let record = history.folded()
        #expect(record.isPresent)
        #expect(record.shown(.name) == .text("Lin"))
        #expect(record.shown(.year) == .integer(1990))
        #expect(record.elements(.tags) == [7])
        #expect(record.elements(.phones) == ["138"])
    }

    @Test func anEditOfTheVeryFieldThatTheDeletionSawRevivesTheRecord() {
        var history = customer(replicas: 2)
        history.perform(.delete, by: 1, at: 50)
        history.perform(.write(.name, "Lin Mei"), by: 0, at: 40)
        #expect(history.folded().isPresent)
    }

    @Test func aRemovalConcurrentWithADeleteRevivesTheRecord() {
        var history = customer(replicas: 2)
        history.perform(.delete, by: 1, at: 50)
        history.perform(.remove(.tags, 7), by: 0, at: 40)
        let record = history.folded()
        #expect(record.isPresent)
        #expect(record.elements(.tags).isEmpty)
        #expect(record.shown(.name) == .text("Lin"))
    }

    @Test func aDeleteThatSawTheOtherChangeTakesTheRecord() {
        var history = customer(replicas: 2)
        history.perform(.remove(.tags, 7), by: 0, at: 40)
        history.showAll()
        history.perform(.delete, by: 1, at: 30)
        #expect(!history.folded().isPresent)
    }

    @Test func twoDeletesAtOnceAreOneAndAnEditAfterThemRevives() {
        var history = customer(replicas: 2)
        history.perform(.delete, by: 0, at: 20)
        history.perform(.delete, by: 1, at: 20)
        #expect(!history.folded().isPresent)
        history.showAll()
        history.perform(.raise(.starred), by: 1, at: 30)
        let record = history.folded()
        #expect(record.isPresent)
        #expect(record.uncoveredDots() == [Dot(history.replicas[1], 2)])
    }

    @Test func additionsCoveredByADeletionReviveTheRecordWhenAnotherFollows() {
        var history = customer(replicas: 2)
        history.perform(.count(.visits, 2), by: 0, at: 20)
        history.perform(.count(.visits, 3), by: 0, at: 20)
        history.showAll()
        history.perform(.delete, by: 1, at: 30)
        let deleted = history.folded()
        #expect(!deleted.isPresent)
        #expect(deleted.sum(.visits) == 5)
        // Replica 0 adds without having seen the deletion.
        history.perform(.count(.visits, 4), by: 0, at: 10)
        let revived = history.folded()
        #expect(revived.isPresent)
        #expect(revived.sum(.visits) == 9)
        history.showAll()
        history.perform(.delete, by: 1, at: 40)
        #expect(!history.folded().isPresent)
    }

    @Test func aDeletionThatSawAnEarlierAdditionDoesNotCoverTheLaterOne() {
        var history = customer(replicas: 2)
        history.perform(.count(.visits, 2), by: 0, at: 20)
        history.show(0, to: 1)
        history.perform(.count(.visits, 3), by: 0, at: 20)
        history.perform(.delete, by: 1, at: 30)
        #expect(history.folded().isPresent)
    }

    @Test func aRecordOfDerivedIdentifierMadeTwiceIsOneAndDeletedOnceIsStillThere() {
        var history = History(replicas: 2)
        history.perform(.create, by: 0, at: 10)
        history.perform(.create, by: 1, at: 20)
        let made = history.folded()
        #expect(made.isPresent)
        #expect(made.entries.map(\.kind) == [.present, .present])
        history.perform(.delete, by: 0, at: 30)
        #expect(history.folded().isPresent)
        history.showAll()
        history.perform(.delete, by: 0, at: 30)
        #expect(!history.folded().isPresent)
    }

    @Test func anUnknownOperationConcurrentWithADeleteRevivesTheRecord() {
        var history = customer(replicas: 2)
        history.perform(.delete, by: 1, at: 50)
        history.perform(.unknown(3, "{}"), by: 0, at: 40)
        #expect(history.folded().isPresent)
    }
}
