// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.plain;

import dev.nearfield.Metric;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.VectorCheck;
import dev.nearfield.internal.plain.JavaEngine.CallClock;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * Clustering of the plain-Java backend: what {@code nf_kmeans} does, one row after the other,
 * always by one level, and with random numbers of its own.
 */
final class JavaKMeans implements Engine.KMeans {
  /** Multiply-adds, or floats copied, between two looks at the clock: about a millisecond. */
  private static final long PIECE_OF_WORK = 1 << 20;

  private static final int SAMPLE_PER_CLUSTER = 256;

  private final Engine.KMeansRequest request;
  private final int dim;
  private final VectorCheck check;
  private final SplittableRandom random;
  private final JavaPoints points;
  private final boolean all; // rows are in the sample
  private final boolean labelled; // and labels of the clustering are those of all rows
  private final float[] row;
  private int next; // row to be read or labelled
  private int kept; // rows of the sample
  private @Nullable JavaSeeding seeding;
  private @Nullable JavaLloyd lloyd;
  private @Nullable JavaCentroids directed; // the last ones under the metric itself
  private double inertia;
  private boolean done;

  private long passed;
  private final long planned;
  private CallClock clock = new CallClock("kmeans", Engine.CallControl.NONE);
  private long work;

  JavaKMeans(Engine.KMeansRequest request) {
    this.request = request;
    this.dim = request.dim();
    this.check = new VectorCheck(request.metric(), dim, 0);
    this.random = new SplittableRandom(request.seed());
    long wanted =
        request.sample() == 0 ? (long) SAMPLE_PER_CLUSTER * request.clusters() : request.sample();
    int sample = (int) Math.min(request.rows(), wanted);
    this.all = sample == request.rows();
    this.labelled = all && request.metric() != Metric.DOT;
    this.points = new JavaPoints(request.metric(), dim, sample);
    this.row = new float[dim];
    int rounds = request.started() ? 0 : JavaSeeding.ROUNDS + 1;
    this.planned =
        (long) sample * (rounds + request.iterations() + 1) + (labelled ? 1L : 2L) * request.rows();
  }

  @Override
  public long done() {
    return passed;
  }

  @Override
  public long total() {
    return done ? passed : Math.max(planned, passed);
  }

  @Override
  public boolean step(long budgetNanos, Engine.CallControl control) {
    clock = new CallClock("kmeans", control);
    clock.poll();
    boolean limited = budgetNanos != 0;
    long stopAt = System.nanoTime() + budgetNanos;
    work = 0;
    do {
      advance();
    } while (!done && !(pause() && limited && System.nanoTime() - stopAt >= 0));
    if (done) {
      write();
    }
    return done;
  }

  /** Looks at the cancel word after enough work; answers whether it did. */
  private boolean pause() {
    if (work < PIECE_OF_WORK) {
      return false;
    }
    work = 0;
    clock.poll();
    return true;
  }

  private void advance() {
    JavaLloyd running = lloyd;
    if (running == null) {
      if (seeding == null) {
        read();
      } else {
        seed(seeding);
      }
    } else if (!running.done()) {
      running.advance();
      passed++;
      work += (long) request.clusters() * dim;
      if (running.done()) {
        done = labelled;
        inertia = labelled ? running.inertia() : 0;
        directed = new JavaCentroids(request.metric(), dim, running.centroids().values());
        next = 0;
      }
    } else {
      label(Objects.requireNonNull(directed));
    }
  }

  /** Row {@code next}, checked, in {@link #row}; answers its squared norm. */
  private double load() {
    MemorySegment.copy(
        request.vectors(),
        ValueLayout.JAVA_FLOAT_UNALIGNED,
        (long) next * dim * Float.BYTES,
        row,
        0,
        dim);
    work += dim;
    passed++;
    return check.check("kmeans", "vector", next, row, 0);
  }

  private float weight(int i) {
    MemorySegment weights = request.weights();
    return weights == null ? 1 : weights.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, i);
  }

  private void read() {
    double squared = load();
    int left = request.rows() - next;
    int wanted = points.count() - kept;
    // Of what is left, each set of so many is as likely as any other.
    if (all || random.nextInt(left) < wanted) {
      keep(squared);
      kept++;
    }
    if (++next == request.rows()) {
      begin();
    }
  }

  private void keep(double squared) {
    float[] own = row.clone();
    double weight = weight(next);
    if (request.metric() == Metric.DOT) {
      double norm = Math.sqrt(squared);
      weight *= norm; // 0: without a direction
      for (int d = 0; d < dim && norm > 0; d++) {
        own[d] = (float) (own[d] / norm);
      }
    } else {
      JavaKernels.prepareQuery(request.metric(), squared, own, 0, dim);
    }
    points.rows()[kept] = own;
    points.weights()[kept] = weight;
  }

  private void begin() {
    int counting = 0;
    for (double weight : points.weights()) {
      counting += weight > 0 ? 1 : 0;
    }
    if (counting < request.clusters()) {
      throw new IllegalArgumentException(
          "kmeans: clusters [%d], the sample has [%d] vectors of a weight above 0"
              .formatted(request.clusters(), counting));
    }
    if (!request.started()) {
      seeding = new JavaSeeding(points, request.clusters(), random.nextLong());
      return;
    }
    float[] start = request.centroids().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
    for (int c = 0; c < request.clusters(); c++) {
      double norm = Math.sqrt(check.check("kmeans", "centroid", c, start, c * dim));
      if (request.metric() != Metric.DOT) {
        continue;
      }
      if (norm == 0) {
        throw new IllegalArgumentException(
            "kmeans: centroid [%d] has norm [0], of DOT it must have a direction".formatted(c));
      }
      for (int d = 0; d < dim && Math.abs(norm - 1) > 0x1p-22; d++) {
        start[c * dim + d] = (float) (start[c * dim + d] / norm);
      }
    }
    startFrom(start);
  }

  private void startFrom(float[] start) {
    lloyd = new JavaLloyd(points, request.iterations(), request.balanced(), request.seed(), start);
  }

  private void seed(JavaSeeding running) {
    passed += running.passesRows() ? 1 : 0;
    work += running.advance();
    float[] seeds = running.seeds();
    if (seeds != null) {
      seeding = null;
      startFrom(seeds);
    }
  }

  private void label(JavaCentroids centroids) {
    double squared = load();
    JavaKernels.prepareQuery(request.metric(), squared, row, 0, dim);
    int label = centroids.nearest(row);
    request.labels().setAtIndex(ValueLayout.JAVA_INT_UNALIGNED, next, label);
    inertia += (double) weight(next) * centroids.rank();
    work += (long) request.clusters() * dim;
    done = ++next == request.rows();
  }

  private void write() {
    JavaLloyd finished = lloyd;
    if (finished == null) {
      return;
    }
    request.centroids().copyFrom(MemorySegment.ofArray(finished.centroids().values()));
    if (labelled) {
      request.labels().copyFrom(MemorySegment.ofArray(finished.labels()));
    }
    request.inertia().set(ValueLayout.JAVA_DOUBLE_UNALIGNED, 0, inertia);
  }

  @Override
  public void close() {}
}
