// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

import dev.nearfield.internal.index.IndexBuilder;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.function.Predicate;

/**
 * Vectors on a device, searched exactly: the k nearest of every query by the index's {@link
 * Metric}, equal distances in the order the vectors were added. An index of {@link IndexSpec.Ivf}
 * looks at a part of its vectors instead, once it is trained.
 *
 * <p><b>Threads.</b> Every method may be called from any thread, virtual ones included. One owner
 * thread per device does the work, in the order of submission; searches that wait together become
 * one device batch. On the CPU a call that waits on a platform thread does what takes about a
 * millisecond or less itself when nobody else is at it; an interrupt is then noticed at the end of
 * that. A virtual thread always leaves its carrier to others while it waits. A write is seen by
 * every call that begins after it returned. Code of the user (predicates, listeners, what hangs on
 * a future) never runs while the device is held.
 *
 * <p><b>Memory.</b> Arrays and segments are copied on the calling thread before a call returns or
 * waits; afterwards, and even during the call, changing or freeing them harms nothing but the
 * values copied. The vectors live on the device only.
 *
 * <p><b>Errors.</b> A mistake of the caller is an {@link IllegalArgumentException} or {@link
 * NullPointerException} thrown at the call; after {@link #close()} calls throw {@link
 * IndexClosedException}; everything else is a {@link VectorIndexException}, and the index is
 * unharmed unless that is a {@link DeviceLostException}: then the vectors are gone and the index
 * can only be closed. Methods that answer a future throw caller's mistakes at the call and complete
 * the future with everything else. An interrupt cancels the call: it throws {@link
 * java.util.concurrent.CancellationException} with the interrupt still set; a change that the
 * device had already made is answered as usual. A full queue makes calls wait, up to a limit
 * ({@link IndexBusyException}); methods that answer a future never wait, and complete it with that
 * exception at once.
 *
 * <p><b>Time.</b> Work goes to the device in steps of about 10 ms, so that a search of thousands of
 * queries, a large insert, a compaction, other indexes of the device and a single search take
 * turns; of a request of many queries, each query sees all of a change that comes meanwhile or
 * nothing of it. Every call may have a time-out: its own ({@link #withTimeout}, {@link
 * SearchRequest.Builder#timeout}) or the index's ({@link Builder#timeout}), counted from its
 * submission. What has not begun by then never happens ({@link SearchTimeoutException}); a change
 * that has is stopped where that is possible, and answered as usual where it is not.
 *
 * {@snippet :
 * try (AcceleratedVectorIndex index = AcceleratedVectorIndex.builder(384, Metric.COSINE).build()) {
 *   VectorHandle handle = index.add(vector);
 *   SearchResult result = index.search(SearchRequest.builder().query(query).topK(10).build());
 *   result.hits(0).forEach(System.out::println);
 * }
 * }
 */
public interface AcceleratedVectorIndex extends AutoCloseable {
  /**
   * Begins an empty index of vectors of {@code dimension} floats, a flat one unless {@link
   * Builder#spec} says otherwise.
   *
   * @throws IllegalArgumentException when the dimension is below 1 or above 65,536
   */
  static Builder builder(int dimension, Metric metric) {
    return new IndexBuilder(dimension, metric);
  }

  int dimension();

  Metric metric();

  /**
   * This index, with another time-out for calls that bring none of their own. Both are the same
   * index; closing one closes it.
   *
   * @throws IllegalArgumentException unless the time-out is positive
   */
  AcceleratedVectorIndex withTimeout(Duration timeout);

  /**
   * Adds one vector. Cosine refuses zero vectors, Poincaré those outside the ball, every metric NaN
   * and infinity.
   */
  VectorHandle add(float[] vector);

  /**
   * {@link #add} without waiting; the vector is checked and copied at once. Cancelling the future
   * takes it back while it is queued.
   */
  CompletableFuture<VectorHandle> addAsync(float[] vector);

  /**
   * Adds all vectors or none, and no search finds some of them before the others. Large batches are
   * checked and copied to the device chunk by chunk while this thread copies the next; other
   * requests, large ones included, run in between. What a batch that is refused or cancelled in its
   * middle has brought to the device counts as removed.
   *
   * @return their handles, in the order of the batch
   * @throws DeviceOutOfMemoryException when the device or the budget has no room, checked before
   *     anything is allocated
   */
  VectorHandles addAll(VectorBatch vectors);

  /**
   * Removes one vector; it is never found again.
   *
   * @return false when it was removed or replaced before
   * @throws IllegalArgumentException when this index never issued the handle
   */
  boolean remove(VectorHandle handle);

  /** {@link #remove} without waiting. Cancelling the future takes it back while it is queued. */
  CompletableFuture<Boolean> removeAsync(VectorHandle handle);

  /**
   * Removes many vectors, ignoring those that are gone already. Many thousands go in steps with
   * other requests in between: searches meanwhile may still find some of them. Once begun it goes
   * on to its end; when the device fails in between, some have been removed.
   *
   * @return how many were removed
   * @throws IllegalArgumentException when this index never issued one of the handles; then none is
   *     removed
   */
  int removeAll(VectorHandles handles);

  /**
   * Removes the vectors whose handle passes, as {@link #removeAll} does. The condition runs on the
   * calling thread, once per vector that is in the index then; vectors added meanwhile may or may
   * not be judged.
   *
   * @return how many were removed
   */
  int removeIf(Predicate<? super VectorHandle> condition);

  /**
   * Puts another vector in the place of one; searches find either the old or the new. The old
   * handle is stale afterwards. Among equal distances the new vector ranks where the old one did.
   *
   * @return the new handle, or empty when the old one is stale
   * @throws IllegalArgumentException when the vector is refused, or this index never issued the
   *     handle
   */
  Optional<VectorHandle> replace(VectorHandle handle, float[] vector);

  /**
   * {@link #replace} without waiting; the vector is checked and copied at once. Cancelling the
   * future takes it back while it is queued.
   */
  CompletableFuture<Optional<VectorHandle>> replaceAsync(VectorHandle handle, float[] vector);

  /**
   * A vector as it was added, bit for bit; with {@link Encoding#INT8_ONLY} what its codes stand
   * for, the same at every call until the index moves to another device.
   *
   * @return empty when the handle is stale
   * @throws IllegalArgumentException when this index never issued the handle
   */
  Optional<StoredVector> get(VectorHandle handle);

  /**
   * Searches and waits for the answer.
   *
   * @throws IllegalArgumentException when the request does not fit this index, as one of the wrong
   *     dimension, or {@link SearchRequest.Builder#exact} with {@link Encoding#INT8_ONLY}
   * @throws SearchTimeoutException when the request's time-out passed
   */
  SearchResult search(SearchRequest request);

  /**
   * Searches without waiting; a full queue completes the future with {@link IndexBusyException}. A
   * predicate runs on this thread before the search is queued. Cancelling the future, or completing
   * it otherwise, takes the search out of the queue or stops the device; its dependents run on
   * {@link Builder#executor}.
   *
   * @throws IllegalArgumentException when the request does not fit this index
   */
  CompletableFuture<SearchResult> searchAsync(SearchRequest request);

  /**
   * Drops the rows of removed vectors from the device, in slices with other requests in between;
   * handles stay valid and the order of equal distances stays. Cancelling the future takes the
   * request back while it waits; a compaction that has begun goes on.
   */
  CompletableFuture<CompactionReport> compact();

  /** {@link #train(TrainingRequest)} as the index's {@link IndexSpec.Ivf} has it. */
  default CompletableFuture<TrainingReport> train() {
    return train(TrainingRequest.builder().build());
  }

  /**
   * Puts the vectors of an index of {@link IndexSpec.Ivf} into lists, in steps with other requests
   * in between, which wait for one step at most; handles stay valid. Answers until then are those
   * of before: exact at the first training, of the former lists at a later one, which pays when the
   * vectors have become others, or many more. What is added, replaced or removed meanwhile and
   * afterwards goes into its list by itself. With codes ({@link Encoding#INT8}) these are fitted,
   * too. Room for a second copy of the vectors is needed until it is done.
   *
   * <p>On a device that has no lists ({@link Placement#listed}) nothing is to be done, and all
   * searches stay exact. When the index moves, its lists go along to a device that has such, with
   * codes that fit its vectors again after the next training only; a training under way begins anew
   * there.
   *
   * <p>Cancelling the future ends it, also half-way, with the index as before.
   *
   * @return completed exceptionally with {@link IllegalArgumentException} when there are fewer than
   *     2 vectors to train on, fewer than lists, or in fewer places than the lists that were asked
   *     for; with {@link DeviceOutOfMemoryException} when there is no room
   * @throws IllegalArgumentException when the index is flat, or a vector of the request could not
   *     be added to it
   */
  CompletableFuture<TrainingReport> train(TrainingRequest request);

  /**
   * Keeps the lists of an index of {@link IndexSpec.Ivf} even: those with more than four times the
   * mean of vectors are split, those with less than an eighth go, and their vectors to the nearest
   * of the others; from any list, what is nearer to a new one. In rounds until none is left, and
   * each in steps with other requests in between, as {@link #train(TrainingRequest)}: answers are
   * those of before until the last step of a round; what is added, replaced or removed meanwhile is
   * kept, and handles stay valid. It pays from time to time while vectors come that are unlike
   * those of the training, and takes next to nothing where there is nothing to do, as in an index
   * that is not trained, or on a device that has no lists; but where an eighth of the vectors came
   * since, the recall is measured again that {@link SearchRequest.Builder#targetRecall} goes by.
   * {@link IndexStats#drift} tells when a training is better. Room for a second copy of the vectors
   * is needed meanwhile. When the index moves, it goes on there.
   *
   * <p>Cancelling the future ends it, also half-way, with the index as the last round has left it.
   *
   * @return completed exceptionally with {@link DeviceOutOfMemoryException} when there is no room
   * @throws IllegalArgumentException when the index is flat
   */
  CompletableFuture<MaintenanceReport> maintain();

  /** Counters as of the last finished step; never waits for the device. */
  IndexStats stats();

  /** Where the vectors are; never waits for the device. */
  Placement placement();

  /**
   * Looks whether a device that the acceleration policy prefers can be used by now, and if so moves
   * the vectors there; handles stay valid, and requests wait meanwhile. An index on a device that
   * was named stays there. Cancelling the future stops nothing, and a time-out nothing but the wait
   * in the queue: looking for a device and a move that has begun go on.
   *
   * @return where the index is then; completed exceptionally when the better device failed, with
   *     the index where it was
   */
  CompletableFuture<Placement> retryAcceleration();

  /**
   * Refuses new calls, waits for those that are queued up to {@code drain}, then closes as {@link
   * #close()} does.
   *
   * @return whether all of them were done
   * @throws InterruptedException when interrupted while waiting; the index is closed even so
   */
  boolean close(Duration drain) throws InterruptedException;

  /**
   * Refuses new calls, fails those that are queued with {@link IndexClosedException}, waits for the
   * step that is running and frees the memory of its vectors. May be called again, concurrently and
   * from listeners and dependents of futures. The device itself stays open for ten seconds, for
   * whoever uses it next.
   */
  @Override
  void close();

  /**
   * Collects the choices for an index; not thread-safe. Of repeated calls to one method the last
   * counts.
   */
  interface Builder {
    /**
     * Whether a GPU may or must be used; by default {@link Acceleration#PREFERRED}. {@link
     * Acceleration#DISABLED} takes the native CPU backend, or plain Java where that cannot be
     * loaded.
     */
    Builder acceleration(Acceleration acceleration);

    /**
     * Exactly this device, or {@link BackendUnavailableException}; software devices are used only
     * so or by {@link #backend}.
     */
    Builder device(Device device);

    /** The first device of this backend, or {@link BackendUnavailableException}. */
    Builder backend(BackendKind backend);

    /**
     * How the index arranges its vectors, and what it keeps of each; by default {@link
     * IndexSpec#flat()}. An encoding may be said here or by {@link #encoding(Encoding)}, in any
     * order: {@link Encoding#AUTO} gives way to the other, and two others must be the same.
     */
    Builder spec(IndexSpec spec);

    /**
     * What the index keeps of its vectors on its device; by default what {@link #spec} says. Codes
     * beside vectors are fitted to these by themselves, in steps between other requests, when the
     * index first holds 10,000 vectors, and again when those added since have become too different;
     * those of an {@link IndexSpec.Ivf} by {@link AcceleratedVectorIndex#train()}.
     */
    Builder encoding(Encoding encoding);

    /**
     * Vectors like those that will be added, for {@link Encoding#INT8_ONLY}: {@link #build} fits
     * the codes to them, since it cannot be done once there are vectors. Without a sample codes are
     * of the dimensions as they are. The sample is not added to the index.
     *
     * <p>A fit takes out what all vectors have in common and turns the dimensions so that the first
     * say most. Searches then read fewer codes: half of them instead of 0.8, where the variance
     * falls as the inverse square of the direction's rank. The price is the rounding, since a
     * vector has one scale: about the same where all directions say as much, and 3 times at that
     * spectrum and 128 dimensions, 5 times at 384; less than that, or a gain, for vectors far from
     * the origin.
     *
     * <p>It is for some hundred dimensions. A search turns back the vectors that codes leave it, a
     * few hundred a query, of as many multiply-adds each as the dimension squared: of no account at
     * 128 dimensions, but at 1,024 a query took 33 ms with a fit and 2 ms without.
     *
     * <p>Some 32 vectors a dimension are enough, and at least 4,096: of more, so many are taken
     * from all over the batch, and at most 128 MiB. They are copied at once, and the copy is kept
     * as long as the index is open, which fits its codes to it again where it moves to. A fit takes
     * about 0.1 s of one processor at 128 dimensions, 2 s at 768, and other indexes of the device
     * are served meanwhile; an interrupt ends it.
     *
     * @throws IllegalArgumentException when the dimension is not that of the index, when there are
     *     fewer than 2 vectors, or when one could not be added
     */
    Builder codesFittedTo(VectorBatch sample);

    /**
     * Room to make at once for that many vectors: a hint that saves growing, and codes where they
     * would not pay.
     */
    Builder expectedVectors(long vectors);

    /**
     * Most bytes on the device for the vectors of this index, codes included; by default what the
     * device has. Under {@link Acceleration#PREFERRED}, when the device was not named, an index
     * that outgrows a GPU or its budget there moves to the CPU ({@link
     * FallbackReason#MEMORY_BUDGET}); the budget does not bind it there. Otherwise the insert fails
     * with {@link DeviceOutOfMemoryException}.
     */
    Builder deviceMemoryBudget(long bytes);

    /**
     * How searches are gathered.
     *
     * @param maxBatch queries of one device call, at least 1; by default 1,024
     * @param maxLinger longest wait for clients to come back after a batch of several searches,
     *     which is never more than 5% of that batch's duration, and none where that is under 100
     *     us; an idle index never waits. Zero: never; by default 5 ms
     */
    Builder batching(int maxBatch, Duration maxLinger);

    /**
     * The queue of requests.
     *
     * @param capacity requests that may wait, at least 1; by default 1,024
     * @param maxWait how long a call waits for a place before {@link IndexBusyException}; by
     *     default 10 s. Methods that answer a future do not wait
     */
    Builder mailbox(int capacity, Duration maxWait);

    /**
     * How long a call may take that brings no time-out of its own, counted from its submission; by
     * default as long as it needs.
     */
    Builder timeout(Duration timeout);

    /** Is told of fallbacks. */
    Builder listener(IndexListener listener);

    /**
     * Completes futures and calls the listener; by default the common pool. Never used to search.
     */
    Builder executor(Executor executor);

    /** Poincaré: the largest norm accepted, in (0, 1 - 1e-7]; by default 1 - 1e-5. */
    Builder poincareMaxNorm(double maxNorm);

    /**
     * The share of removed rows, in (0, 1], from which compaction starts by itself, though never
     * for fewer than 1,024 of them; 1: never; by default 0.3.
     */
    Builder autoCompaction(double deadRatio);

    /**
     * Makes the index, waiting for the device.
     *
     * @throws IllegalArgumentException when the choices contradict each other: {@link
     *     Encoding#INT8} with {@link Metric#MANHATTAN}, {@link Encoding#INT8_ONLY} with that or
     *     {@link Metric#POINCARE} or {@link IndexSpec.Ivf}, {@link #codesFittedTo} with any other
     *     encoding, two encodings, or a device that the policy excludes
     * @throws BackendUnavailableException when no device fits; it lists why, backend by backend
     * @throws DeviceOutOfMemoryException when there is no room for the expected vectors
     */
    AcceleratedVectorIndex build();
  }
}
