import ArgumentParser
import Glibc

/// The program: arranges the command line, runs the command, turns what went wrong into a sentence and a status.
@main
enum Main {
    static func main() async {
        do {
            let words = try Arguments.arranged(Arguments.fromSystem())
            var command = try await Shoal.asyncParseAsRoot(words)
            if var asynchronous = command as? AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            exit(conclude(error))
        }
    }

    /// Says what went wrong, or prints the help that ArgumentParser throws, and returns the exit status.
    private static func conclude(_ error: any Error) -> Int32 {
        if Shoal.exitCode(for: error) == .success {
            var screen = Screen(isJSON: false)
            screen.trusted(Shoal.fullMessage(for: error))
            do { try screen.finish() } catch { return conclude(error) }
            return 0
        }
        let failure = Failure(error)
        Screen.say(failure.sentence)
        return failure.status
    }
}
