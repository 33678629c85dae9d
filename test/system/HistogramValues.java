// What HdrHistogram says of the same as histogram_values.cpp, in the same form.
import java.util.Scanner;
import org.HdrHistogram.Histogram;

public class HistogramValues {
  public static void main(String[] arguments) {
    final Scanner given = new Scanner(System.in);
    final long lowest = given.nextLong(), highest = given.nextLong();
    final Histogram tested = new Histogram(lowest, highest, given.nextInt());
    for (int many = given.nextInt(); many > 0; --many) tested.recordValue(given.nextLong());
    System.out.println(tested.getTotalCount() + " " + tested.getMinValue() + " "
        + tested.getMaxValue() + " " + tested.getMean() + " " + tested.getStdDeviation());
    for (int many = given.nextInt(); many > 0; --many) {
      final long value = tested.getValueAtPercentile(Double.parseDouble(given.next()));
      System.out.println(value + " " + tested.getCountBetweenValues(0, value));
    }
  }
}
